/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where every CPU begins: the boot CPU as an arm64 kernel does (booting.rst),
 * the others as CPU_ON leaves them. All run with the MMU and caches on:
 * exclusives are guaranteed to work on Normal cacheable memory only.
 */

  .section .head, "ax"
  .globl _start
_start:
  b primary
  .long 0
  .quad 0                 /* text_offset: any 2 MiB boundary. */
  .quad _image_size
  .quad 0xa               /* Little endian, 4 KiB pages, anywhere in RAM. */
  .quad 0, 0, 0
  .ascii "ARM\x64"
  .long 0

/* x0: the devicetree. */
primary:
  mov x20, x0
  bl enable_mmu
  bl relocate
  bl clear_bss
  adrp x9, boot_stack_top
  add x9, x9, :lo12:boot_stack_top
  mov sp, x9
  bl set_vectors
  mov x0, x20
  bl stub_main
  b .

/* x0: a Start. Its first word is its Cpu, whose first word is its stack. */
  .text
  .globl secondary_entry
secondary_entry:
  mov x20, x0
  bl enable_mmu
  ldr x21, [x20]
  ldr x22, [x21]
  mov sp, x22
  msr tpidr_el1, x21
  bl set_vectors
  mov x0, x20
  bl stub_secondary
  b .

/* Needs no stack and no memory but the map; changes x9 and x10 only. */
  .globl enable_mmu
enable_mmu:
  adrp x9, identity_map
  msr ttbr0_el1, x9
  mov x9, #0x00ff         /* MAIR: 0 is Normal write-back, 1 Device-nGnRnE. */
  msr mair_el1, x9
  /* TCR: 39 bits, write-back inner shareable walks, 4 KiB, TTBR1 off. */
  ldr x9, =(25 | 1 << 8 | 1 << 10 | 3 << 12 | 1 << 23)
  mrs x10, id_aa64mmfr0_el1
  and x10, x10, #7        /* PARange, as far as IPS goes without LPA2. */
  cmp x10, #5
  mov x11, #5
  csel x10, x10, x11, ls
  orr x9, x9, x10, lsl #32
  msr tcr_el1, x9
  tlbi vmalle1
  ic iallu
  dsb nsh
  isb
  /* RES1 bits; I, SA, C, M. */
  ldr x9, =(0x30d00800 | 1 << 12 | 1 << 3 | 1 << 2 | 1)
  msr sctlr_el1, x9
  isb
  ret

/* The converse, for who leaves this image; changes x9 and x10 only. */
  .globl disable_mmu
disable_mmu:
  dsb sy
  mrs x9, sctlr_el1
  mov x10, #(1 << 12 | 1 << 2 | 1)
  bic x9, x9, x10
  msr sctlr_el1, x9
  isb
  tlbi vmalle1
  ic iallu
  dsb nsh
  isb
  ret

set_vectors:
  adrp x9, vectors
  add x9, x9, :lo12:vectors
  msr vbar_el1, x9
  isb
  ret

/* Every relocation of a position-independent image is R_AARCH64_RELATIVE. */
relocate:
  adrp x9, _image
  adrp x10, _relocations
  add x10, x10, :lo12:_relocations
  adrp x11, _relocations_end
  add x11, x11, :lo12:_relocations_end
1: cmp x10, x11
  b.hs 2f
  ldp x12, x13, [x10]     /* r_offset, r_info. */
  ldr x14, [x10, #16]     /* r_addend. */
  add x10, x10, #24
  cmp w13, #1027
  b.ne 1b
  add x14, x14, x9
  str x14, [x9, x12]
  b 1b
2: ret

clear_bss:
  adrp x9, _bss
  add x9, x9, :lo12:_bss
  adrp x10, _bss_end
  add x10, x10, :lo12:_bss_end
1: cmp x9, x10
  b.hs 2f
  stp xzr, xzr, [x9], #16
  b 1b
2: ret

/*
 * Identity: blocks of 1 GiB. Device below RAM and from 256 GiB on (the upper
 * redistributors), never executable there; Normal in between. And from 321 GiB
 * on once more what lies from 1 GiB on, as Normal memory (board.h: kAlias): a
 * kernel's virtual addresses are not the physical ones.
 */
  .section .rodata.identity_map, "a"
  .balign 4096
identity_map:
  .set device, 1 << 54 | 1 << 53 | 1 << 10 | 1 << 2 | 1
  .set normal, 1 << 10 | 3 << 8 | 1
  .quad device
  .set gib, 1
  .rept 255
  .quad gib << 30 | normal
  .set gib, gib + 1
  .endr
  .rept 64
  .quad gib << 30 | device
  .set gib, gib + 1
  .endr
  .quad 0
  .set gib, 1
  .rept 127
  .quad gib << 30 | normal
  .set gib, gib + 1
  .endr
  .skip 64 * 8

  .section .stacks, "aw", %nobits
  .balign 16
  .skip 8192
boot_stack_top:

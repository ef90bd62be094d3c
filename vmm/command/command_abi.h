/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A command that the guest runs, as guest-init and VMM both see it: the files
 * that bring it into the guest, and the link that takes its streams out. The
 * link is a second UART, which any kernel has a driver for that can use the
 * console's. Not the console itself: a printk can tear any line. What the guest
 * sends goes through the stream device (vmm/devices/stream_abi.h) where its
 * kernel lets it, which takes a tenth of the exits; all of it, or nothing.
 *
 * Preprocessor only, as all headers of this kind.
 */
#ifndef PARKVMM_VMM_COMMAND_COMMAND_ABI_H_
#define PARKVMM_VMM_COMMAND_COMMAND_ABI_H_

/* In the initramfs. */
#define COMMAND_FOLDER "/.parkvmm"
#define COMMAND_INIT COMMAND_FOLDER "/init"
/* What to kexec into, if it does; of several, the path of each is this and a
 * number, and the plan has a path in each line, in the order of kexecs. */
#define COMMAND_KERNEL COMMAND_FOLDER "/Image"
#define COMMAND_PLAN COMMAND_FOLDER "/plan"
/*
 * Strings, each with a NUL behind it: COMMAND_FILE_MAGIC; COMMAND_PIPES or
 * COMMAND_TERMINAL; the number of words; the words; the environment.
 */
#define COMMAND_FILE COMMAND_FOLDER "/command"
#define COMMAND_FILE_MAGIC "parkvmm-command-1"
#define COMMAND_PIPES "pipes"
#define COMMAND_TERMINAL "terminal"

/* The `label` of the link's UART in the devicetree. */
#define COMMAND_LINK_LABEL "parkvmm,command"

/*
 * The link carries frames: a type, the payload's length (16 bits, little
 * endian), the payload. The VMM says nothing before HELLO.
 */
#define COMMAND_FRAME_HEADER 3
#define COMMAND_FRAME_PAYLOAD 4096 /* At most. */

/* From the guest. HELLO: a command starts; no payload. CREDIT: so many bytes
 * more of INPUT may come, 16 bits. EXIT: it has ended; its status, one byte.
 * BROKEN: it could not be run; why, in words. */
#define COMMAND_HELLO 'H'
#define COMMAND_STDOUT 'O'
#define COMMAND_STDERR 'E'
#define COMMAND_CREDIT 'C'
#define COMMAND_EXIT 'X'
#define COMMAND_BROKEN 'B'

/* To the guest. INPUT_END: no payload. SIZE: of the terminal; rows and columns,
 * 16 bits each. */
#define COMMAND_INPUT 'I'
#define COMMAND_INPUT_END 'Z'
#define COMMAND_SIZE 'S'

#endif /* PARKVMM_VMM_COMMAND_COMMAND_ABI_H_ */

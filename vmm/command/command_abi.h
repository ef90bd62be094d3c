/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A command that the guest runs, as guest-init and VMM both see it: the files
 * that bring it into the guest, and the link that takes its streams out. The
 * link is a second UART, which any kernel has a driver for that can use the
 * console's. Not the console itself: a printk can tear any line.
 *
 * Preprocessor only, as all headers of this kind.
 */
#ifndef PARKVMM_VMM_COMMAND_COMMAND_ABI_H_
#define PARKVMM_VMM_COMMAND_COMMAND_ABI_H_

/* In the initramfs. */
#define COMMAND_FOLDER "/.parkvmm"
#define COMMAND_INIT COMMAND_FOLDER "/init"
#define COMMAND_KERNEL COMMAND_FOLDER "/Image" /* What to kexec into, if so. \
                                                */
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

/* From the guest. */
#define COMMAND_HELLO 'H'  /* A command starts. No payload. */
#define COMMAND_STDOUT 'O' /* What it printed. */
#define COMMAND_STDERR 'E'
#define COMMAND_CREDIT 'C' /* So many bytes more of INPUT may come: 16 bits. \
                            */
#define COMMAND_EXIT 'X'   /* It has ended: its status, one byte. */
#define COMMAND_BROKEN 'B' /* It could not be run: why, in words. */

/* To the guest. */
#define COMMAND_INPUT 'I'
#define COMMAND_INPUT_END 'Z' /* No payload. */
#define COMMAND_SIZE 'S'      /* The terminal's: rows, columns, 16 bits each. */

#endif /* PARKVMM_VMM_COMMAND_COMMAND_ABI_H_ */

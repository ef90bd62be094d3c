/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The stream device as guest and VMM both see it: one page that takes bytes
 * from the guest eight at a time, in order, where a UART takes one. Device
 * tree: compatible "parkvmm,stream-1".
 *
 * Preprocessor only, as all headers of this kind.
 */
#ifndef PARKVMM_VMM_DEVICES_STREAM_ABI_H_
#define PARKVMM_VMM_DEVICES_STREAM_ABI_H_

#define STREAM_COMPATIBLE "parkvmm,stream-1"
#define STREAM_MAGIC 0x4d525453 /* "STRM", little endian. */

#define STREAM_REG_MAGIC 0x00   /* u32, read-only. */
#define STREAM_REG_VERSION 0x04 /* u32, read-only: 1. */
#define STREAM_REG_ROOM 0x08    /* u64, read-only: bytes it takes now. */
#define STREAM_REG_WORD 0x10    /* u64, write-only: 8 bytes, low one first. */
#define STREAM_REG_BYTE 0x18    /* u8, write-only: one. */
#define STREAM_REG_END 0x20     /* u32, write-only: they are to be read now. */

#endif /* PARKVMM_VMM_DEVICES_STREAM_ABI_H_ */

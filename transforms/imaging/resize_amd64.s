#include "textflag.h"

// The rounding half, weightHalf of filter.go, and the fraction bits, weightBits.
#define BITS $22
DATA half<>+0(SB)/8, $0x0020000000200000
DATA half<>+8(SB)/8, $0x0020000000200000
GLOBL half<>(SB), RODATA|NOPTR, $16

// Packing four vectors of sums to bytes leaves their groups of four in the order
// 0 2 4 6 1 3 5 7.
DATA inOrder<>+0(SB)/8, $0x0000000400000000
DATA inOrder<>+8(SB)/8, $0x0000000500000001
DATA inOrder<>+16(SB)/8, $0x0000000600000002
DATA inOrder<>+24(SB)/8, $0x0000000700000003
GLOBL inOrder<>(SB), RODATA|NOPTR, $32

// Of two pixels, the first to the low and the second to the high half, samples as
// 32-bit numbers.
DATA spread<>+0(SB)/8, $0x8080800180808000
DATA spread<>+8(SB)/8, $0x8080808080808002
DATA spread<>+16(SB)/8, $0x8080800480808003
DATA spread<>+24(SB)/8, $0x8080808080808005
GLOBL spread<>(SB), RODATA|NOPTR, $32

// Of two weights likewise, each to all places of its half.
DATA repeat<>+0(SB)/8, $0x0302010003020100
DATA repeat<>+8(SB)/8, $0x0302010003020100
DATA repeat<>+16(SB)/8, $0x0706050407060504
DATA repeat<>+24(SB)/8, $0x0706050407060504
GLOBL repeat<>(SB), RODATA|NOPTR, $32

// func weighRows(dst, src *uint8, stride, n int, k *int32, count int)
TEXT ·weighRows(SB), NOSPLIT, $0-48
	MOVQ dst+0(FP), DI
	MOVQ src+8(FP), SI
	MOVQ stride+16(FP), DX
	MOVQ n+24(FP), CX
	MOVQ k+32(FP), R8
	MOVQ count+40(FP), R9
	VPBROADCASTD half<>(SB), Y15
	VMOVDQU inOrder<>(SB), Y14

block: // 32 samples
	VMOVDQA Y15, Y0
	VMOVDQA Y15, Y1
	VMOVDQA Y15, Y2
	VMOVDQA Y15, Y3
	MOVQ SI, R10
	XORQ R11, R11

row:
	VPBROADCASTD (R8)(R11*4), Y4
	VPMOVZXBD (R10), Y5
	VPMOVZXBD 8(R10), Y6
	VPMOVZXBD 16(R10), Y7
	VPMOVZXBD 24(R10), Y8
	VPMULLD Y4, Y5, Y5
	VPMULLD Y4, Y6, Y6
	VPMULLD Y4, Y7, Y7
	VPMULLD Y4, Y8, Y8
	VPADDD Y5, Y0, Y0
	VPADDD Y6, Y1, Y1
	VPADDD Y7, Y2, Y2
	VPADDD Y8, Y3, Y3
	ADDQ DX, R10
	INCQ R11
	CMPQ R11, R9
	JLT row

	VPSRAD BITS, Y0, Y0
	VPSRAD BITS, Y1, Y1
	VPSRAD BITS, Y2, Y2
	VPSRAD BITS, Y3, Y3
	VPACKSSDW Y1, Y0, Y0
	VPACKSSDW Y3, Y2, Y2
	VPACKUSWB Y2, Y0, Y0
	VPERMD Y0, Y14, Y0
	VMOVDQU Y0, (DI)
	ADDQ $32, SI
	ADDQ $32, DI
	SUBQ $32, CX
	JG block

	VZEROUPPER
	RET

// func weighColumns(dst, src *uint8, dstStride, srcStride, n int, first, k *int32, size, pairs int)
TEXT ·weighColumns(SB), NOSPLIT, $0-72
	MOVQ dst+0(FP), DI
	MOVQ src+8(FP), SI
	MOVQ dstStride+16(FP), R12
	MOVQ srcStride+24(FP), R13
	MOVQ n+32(FP), CX
	MOVQ first+40(FP), R8
	MOVQ k+48(FP), R9
	MOVQ size+56(FP), DX
	MOVQ pairs+64(FP), BX
	VMOVDQU half<>(SB), X15 // the high half is zero
	VMOVDQU spread<>(SB), Y14
	VMOVDQU repeat<>(SB), Y13
	SHLQ $2, DX
	LEAQ (R12)(R12*2), R14
	LEAQ (R13)(R13*2), R15

pixel: // one of each row
	MOVLQSX (R8), AX
	LEAQ (AX)(AX*2), AX
	ADDQ SI, AX
	VMOVDQA Y15, Y0
	VMOVDQA Y15, Y1
	VMOVDQA Y15, Y2
	VMOVDQA Y15, Y3
	MOVQ R9, R10
	MOVQ BX, R11

pair:
	VPBROADCASTQ (R10), Y4
	VPBROADCASTQ (AX), Y5
	VPBROADCASTQ (AX)(R13*1), Y6
	VPBROADCASTQ (AX)(R13*2), Y7
	VPBROADCASTQ (AX)(R15*1), Y8
	VPSHUFB Y13, Y4, Y4
	VPSHUFB Y14, Y5, Y5
	VPSHUFB Y14, Y6, Y6
	VPSHUFB Y14, Y7, Y7
	VPSHUFB Y14, Y8, Y8
	VPMULLD Y4, Y5, Y5
	VPMULLD Y4, Y6, Y6
	VPMULLD Y4, Y7, Y7
	VPMULLD Y4, Y8, Y8
	VPADDD Y5, Y0, Y0
	VPADDD Y6, Y1, Y1
	VPADDD Y7, Y2, Y2
	VPADDD Y8, Y3, Y3
	ADDQ $6, AX
	ADDQ $8, R10
	DECQ R11
	JNZ pair

	// The halves together: rows 0 and 1 to Y0, rows 2 and 3 to Y2.
	VPERM2I128 $0x20, Y1, Y0, Y4
	VPERM2I128 $0x31, Y1, Y0, Y5
	VPERM2I128 $0x20, Y3, Y2, Y6
	VPERM2I128 $0x31, Y3, Y2, Y7
	VPADDD Y5, Y4, Y0
	VPADDD Y7, Y6, Y2
	VPSRAD BITS, Y0, Y0
	VPSRAD BITS, Y2, Y2
	VPACKSSDW Y2, Y0, Y0
	VPACKUSWB Y0, Y0, Y0
	VEXTRACTI128 $1, Y0, X1
	VMOVD X0, (DI)
	VMOVD X1, (DI)(R12*1)
	VPEXTRD $1, X0, (DI)(R12*2)
	VPEXTRD $1, X1, (DI)(R14*1)
	ADDQ $3, DI
	ADDQ $4, R8
	ADDQ DX, R9
	DECQ CX
	JNZ pixel

	VZEROUPPER
	RET

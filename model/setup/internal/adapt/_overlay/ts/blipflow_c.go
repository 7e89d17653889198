package ts

// #include <stdlib.h>
import "C"

import (
	"unsafe"

	lib "github.com/sugarme/gotch/libtch"
)

func freeArray(array *lib.Ctensor) { C.free(unsafe.Pointer(array)) }

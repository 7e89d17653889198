package adapt

import (
	"fmt"
	"regexp"
)

// patches are what is changed in gotch v0.9.1, by file. The counts and texts
// are that version's: another version needs them read anew.
var patches = map[string]func(*source){
	"device.go":              patchDevice,
	"init.go":                patchInit,
	"libtch/c-generated.go":  patchCGenerated,
	"libtch/device.go":       patchLibDevice,
	"libtch/patch.go":        patchLibPatch,
	"libtch/tensor.go":       patchLibTensor,
	"ts/error.go":            patchError,
	"ts/patch.go":            patchTensorLists,
	"ts/scalar.go":           patchScalar,
	"ts/tensor-generated.go": patchTensorGenerated,
	"ts/tensor.go":           patchTensor,
}

// patchDevice makes the CPU that a tensor reports equal to gotch.CPU.
func patchDevice(s *source) {
	s.replace(`return Device{Name: "CPU", Value: 1}`, `return CPU`, 1)
}

// patchInit keeps the import of gotch from making a folder in the home folder,
// and from ending the process where there is none.
func patchInit(s *source) {
	s.replaceFunc("func initEnv() {", `func initEnv() {
	if v, err := strconv.ParseBool(os.Getenv(gotchDebugKey)); err == nil {
		Debug = v
	}
	if val := os.Getenv(gotchEnvKey); val != "" {
		CachedDir = val
	}
}
`)
	s.replace("\t\"log\"\n", "", 1)
}

// slicePointer is how gotch takes the address of a list, which panics where the
// list is empty (the shape of a scalar, say).
var slicePointer = regexp.MustCompile(`unsafe\.Pointer\(&(\w+)\[0\]\)`)

const sliceData = `unsafe.Pointer(unsafe.SliceData($1))`

// cString is a copy of a Go string that gotch never frees.
var cString = regexp.MustCompile(`(?m)^(c\w+) := C\.CString\((\w+)\)$`)

func patchCGenerated(s *source) {
	s.replaceMatches(slicePointer, sliceData, 921)
	s.replaceMatches(cString, "$1 := C.CString($2)\ndefer C.free(unsafe.Pointer($1))", 116)
	s.replace("//#include \"torch_api.h\" \n", "//#include \"torch_api.h\" \n//#include <stdlib.h>\n", 1)
}

func patchLibPatch(s *source) {
	s.replaceMatches(slicePointer, sliceData, 4)
}

func patchLibDevice(s *source) {
	s.replace("return *(*int)(unsafe.Pointer(&t))", "return int(t)", 1)
	s.replace("import (\n\t\"unsafe\"\n)\n", "", 1)
}

// patchLibTensor mends reads of eight bytes from a C int of four, a call that
// was never made, and lists written into an allocation of no bytes.
func patchLibTensor(s *source) {
	s.replace("unsafe.Pointer(&dims[0])", "unsafe.Pointer(unsafe.SliceData(dims))", 1)
	s.replace("unsafe.Pointer(&padData[0])", "unsafe.Pointer(unsafe.SliceData(padData))", 1)
	s.replace("return *(*int)(unsafe.Pointer(&cint))", "return int(cint)", 1)
	s.replace("return *(*int)(unsafe.Pointer(&cretVal))", "return int(cretVal)", 1)
	s.replaceFunc("func AtcSetDevice(", `func AtcSetDevice(deviceIndex int) int {
	C.atc_set_device(C.int(deviceIndex))
	return deviceIndex
}
`)
	s.replaceFunc("func AtoGetLearningRates(", `func AtoGetLearningRates(coptimizer Coptimizer) []float64 {
	n := C.ato_param_group_num(coptimizer)
	if n <= 0 {
		return nil
	}
	rates := make([]float64, n)
	var groups C.int
	C.ato_get_learning_rates(coptimizer, (*C.double)(unsafe.Pointer(&rates[0])), &groups)
	return rates
}
`)
}

// patchError leaves the stacks, Go's and C++'s, out of the text of libtorch's
// errors, so that an error stays a sentence.
func patchError(s *source) {
	s.replace("\tif errStr != \"\" {\n", "\tif errStr != \"\" {\n\t\terrStr, _, _ = strings.Cut(errStr, \"\\nException raised from \")\n", 1)
	s.replace("\t\ttrace := string(debug.Stack())\n", "", 1)
	s.replace(`fmt.Errorf("Libtorch API Error: %v\n%v\n", errStr, trace)`, `fmt.Errorf("libtorch: %s", errStr)`, 1)
	s.replace("\t\"runtime/debug\"\n", "\t\"strings\"\n", 1)
}

// resultSlot is where C puts an op's result: gotch allocates no bytes for it
// and never frees them.
const (
	resultSlot  = `ptr := (*lib.Ctensor)(unsafe.Pointer(C.malloc(0)))`
	mendedSlot  = `ptr := new(lib.Ctensor)`
	firstOfMany = `(*lib.Ctensor)(unsafe.Pointer(C.malloc(0)))`
)

// patchTensorGenerated gives the results of ops a place in Go memory, frees the
// handle that an in-place op replaces (it kept the tensor's memory for ever),
// and keeps a scalar alive during the call that reads it.
func patchTensorGenerated(s *source) {
	s.replace(resultSlot, mendedSlot, 2221)
	s.replace("  ctensorPtr0 := "+firstOfMany, "  results := new([7]lib.Ctensor)\n  ctensorPtr0 := &results[0]", 226)
	for n, times := range []int{1: 226, 2: 83, 3: 30, 4: 10, 5: 5, 6: 2} {
		if n == 0 {
			continue
		}
		s.replace(fmt.Sprintf("ctensorPtr%d := (*lib.Ctensor)(unsafe.Pointer(uintptr(unsafe.Pointer(ctensorPtr%d)) + unsafe.Sizeof(ctensorPtr0)))", n, n-1),
			fmt.Sprintf("ctensorPtr%d := &results[%d]", n, n), times)
	}
	s.replace("\n  ts.ctensor = *ptr\n", "\n  lib.AtFree(ts.ctensor)\n  ts.ctensor = *ptr\n", 260)
	keepScalarsAlive(s)
	s.replace("// #include \"stdlib.h\"\nimport \"C\"\n", "", 1)
	s.replace("import(\n  \"unsafe\"\n", "import(\n  \"runtime\"\n", 1)
}

var (
	scalarCall = regexp.MustCompile(`(?m)^ *lib\.Atg\w*\(.*\.cscalar.*\)$`)
	scalarUse  = regexp.MustCompile(`(\w+)\.cscalar`)
)

func keepScalarsAlive(s *source) {
	const calls = 310
	if n := len(scalarCall.FindAll(s.text, -1)); n != calls {
		s.fail("%d ops take a scalar, not %d", n, calls)
		return
	}
	s.text = scalarCall.ReplaceAllFunc(s.text, func(call []byte) []byte {
		kept := append([]byte(nil), call...)
		for _, use := range scalarUse.FindAllSubmatch(call, -1) {
			kept = fmt.Appendf(kept, "\n  runtime.KeepAlive(%s)", use[1])
		}
		return kept
	})
}

// patchTensorLists mends the hand-written ops: slots as above, and the arrays
// that list-valued ops return, which were never freed.
func patchTensorLists(s *source) {
	s.replace("\t"+resultSlot, "\t"+mendedSlot, 1)
	s.replace("ctensorPtr1 := "+firstOfMany, "results := new([3]lib.Ctensor)\n\tctensorPtr1 := &results[0]", 3)
	for n, times := range []int{2: 3, 3: 1} {
		if n < 2 {
			continue
		}
		s.replace(fmt.Sprintf("ctensorPtr%d := (*lib.Ctensor)(unsafe.Pointer(uintptr(unsafe.Pointer(ctensorPtr%d)) + unsafe.Sizeof(ctensorPtr1)))", n, n-1),
			fmt.Sprintf("ctensorPtr%d := &results[%d]", n, n-1), times)
	}
	s.replaceMatches(tensorList, "\treturn takeTensors(ctensorsPtr), nil\n", 9)
	s.replace("// #include \"stdlib.h\"\nimport \"C\"\n", "", 1)
	s.replace("\t\"unsafe\"\n", "", 1)
}

var tensorList = regexp.MustCompile(`\tcurrentPtr := ctensorsPtr\n(?:\t.*\n|\n)+?\t}\n\n\treturn retVal, nil\n`)

// patchScalar keeps the finalizer, since a scalar is small and made in passing,
// makes Drop free at once, and drops the map of names under a lock.
func patchScalar(s *source) {
	s.replaceFunc("func freeCScalar(", `func freeCScalar(x *Scalar) error {
	if x == nil || x.cscalar == nil {
		return nil
	}
	lib.AtsFree(x.cscalar)
	x.cscalar = nil
	atomic.AddInt64(&ScalarCount, -1)
	runtime.SetFinalizer(x, nil)
	return nil
}
`)
	s.replaceFunc("func newScalarName(", "")
	s.replaceFunc("func newScalar(", `func newScalar(cscalar lib.Cscalar, nameOpt ...string) *Scalar {
	x := &Scalar{cscalar: cscalar}
	if len(nameOpt) > 0 {
		x.name = nameOpt[0]
	}
	atomic.AddInt64(&ScalarCount, 1)
	runtime.SetFinalizer(x, freeCScalar)
	return x
}
`)
	s.replaceFunc("func (sc *Scalar) Drop(", "func (sc *Scalar) Drop() error {\n\treturn freeCScalar(sc)\n}\n")
	s.replaceFunc("func (sc *Scalar) MustDrop(", "func (sc *Scalar) MustDrop() {\n\t_ = freeCScalar(sc)\n}\n")
	s.replace("import (\n\t\"fmt\"\n\t\"log\"\n\t\"runtime\"\n\t\"sync/atomic\"\n\n\t\"github.com/sugarme/gotch\"\n",
		"import (\n\t\"runtime\"\n\t\"sync/atomic\"\n\n", 1)
}

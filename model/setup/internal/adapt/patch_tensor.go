package adapt

// patchTensor makes a tensor its C handle and no more: no 100 KB of bait for
// the garbage collector, no finalizer (it could free an operand during its
// call), no map of names under a lock. TensorCount becomes the number of
// tensors made and not dropped.
func patchTensor(s *source) {
	s.replace("\tExistingTensors map[string]struct{} = make(map[string]struct{}) // keep track of existing tensors by name\n", "", 1)
	s.replace("\tExistingScalars map[string]struct{} = make(map[string]struct{}) // keep track of existing scalar by name\n", "", 1)
	s.replace("\tlock            sync.Mutex\n", "", 1)
	s.replace("\t\"sync\"\n", "", 1)
	s.replace("TensorCount  int64 // incremental counting created tensors", "TensorCount  int64 // tensors made and not dropped", 1)
	s.replace("ScalarCount  int64 // incremental counting created scalars", "ScalarCount  int64 // scalars made and not freed", 1)
	// None lives as long as the process and is no one's leak.
	s.replace("var None = NewTensor()", "var None = &Tensor{ctensor: lib.AtNewTensor()}", 1)
	s.replace("\td          *bigStruct\n", "", 1)
	s.replace("lots [1e5]byte // 100k - always on host memory.", "", 1)
	patchLifetime(s)
	patchReads(s)
	patchGradients(s)
}

func patchLifetime(s *source) {
	s.replaceFunc("func newTensor(", `func newTensor(ctensor lib.Ctensor, nameOpt ...string) *Tensor {
	atomic.AddInt64(&TensorCount, 1)
	x := &Tensor{ctensor: ctensor}
	if len(nameOpt) > 0 {
		x.name = nameOpt[0]
	}
	return x
}
`)
	s.replaceFunc("func freeCTensor(", `func freeCTensor(ts *Tensor) error {
	if ts == nil || ts.ctensor == nil {
		return nil
	}
	lib.AtFree(ts.ctensor)
	ts.ctensor = nil
	atomic.AddInt64(&TensorCount, -1)
	return nil
}
`)
	s.replaceFunc("func CheckCMemLeak(", `func CheckCMemLeak() string {
	return fmt.Sprintf("%d tensors not dropped\n", atomic.LoadInt64(&TensorCount))
}
`)
	s.replaceFunc("func newName(", "")
	s.replace("\tname := fmt.Sprintf(\"%s_cloned\", ts.name)\n\treturn newTensor(ctensor, name), nil\n", "\treturn newTensor(ctensor), nil\n", 1)
}

// patchReads replaces reads that went through reflection and C memory, and
// failed on a tensor without dimensions.
func patchReads(s *source) {
	for name, read := range map[string]string{"Size": "AtShape", "Stride": "AtStride"} {
		s.replaceFunc("func (ts *Tensor) "+name+"() (", `func (ts *Tensor) `+name+`() ([]int64, error) {
	dim := lib.AtDim(ts.ctensor)
	if err := TorchErr(); err != nil {
		return nil, err
	}
	values := make([]int64, dim)
	lib.`+read+`(ts.ctensor, unsafe.Pointer(unsafe.SliceData(values)))
	if err := TorchErr(); err != nil {
		return nil, err
	}
	return values, nil
}
`)
	}
	s.replaceFunc("func decodeSize(", "")
	s.replace("\t\"bytes\"\n", "", 1)
	s.replaceFunc("func (ts *Tensor) Float64Value(", `func (ts *Tensor) Float64Value(idx []int64) (float64, error) {
	value := lib.AtDoubleValueAtIndexes(ts.ctensor, unsafe.Pointer(unsafe.SliceData(idx)), len(idx))
	if err := TorchErr(); err != nil {
		return 0, err
	}
	return value, nil
}
`)
	s.replaceFunc("func (ts *Tensor) Int64Value(", `func (ts *Tensor) Int64Value(idx []int64) (int64, error) {
	value := lib.AtInt64ValueAtIndexes(ts.ctensor, unsafe.Pointer(unsafe.SliceData(idx)), len(idx))
	if err := TorchErr(); err != nil {
		return 0, err
	}
	return value, nil
}
`)
	s.replace("\t// float64Ts.MustDrop()\n", "\tfloat64Ts.MustDrop()\n", 1)
	s.replace("\t"+resultSlot+"\n\n\tlib.AtoConstantPadNd", "\t"+mendedSlot+"\n\n\tlib.AtoConstantPadNd", 1)
}

// patchGradients restores the grad mode that was, frees what reading a gradient
// makes, and hands RunBackward's lists over as lists.
func patchGradients(s *source) {
	s.replaceFunc("func (ts *Tensor) ZeroGrad() {", `func (ts *Tensor) ZeroGrad() {
	grad := ts.MustGrad(false)
	defer grad.MustDrop()
	if grad.MustDefined() {
		if err := grad.Detach_(); err != nil {
			log.Fatal(err)
		}
		if err := grad.Zero_(); err != nil {
			log.Fatal(err)
		}
	}
}
`)
	s.replaceFunc("func NoGrad(", `func NoGrad(fn func()) {
	defer SetGradEnabled(SetGradEnabled(false))
	fn()
}
`)
	s.replaceFunc("func NoGrad1(", `func NoGrad1(fn func() interface{}) interface{} {
	defer SetGradEnabled(SetGradEnabled(false))
	return fn()
}
`)
	s.replaceFunc("func (ngg *NoGradGuard) Drop() {", `func (ngg *NoGradGuard) Drop() {
	SetGradEnabled(ngg.enabled)
}
`)
	s.replaceFunc("func RunBackward(", `func RunBackward(tensors []*Tensor, inputs []*Tensor, keepGraphB bool, createGraphB bool) ([]*Tensor, error) {
	if len(tensors) == 0 || len(inputs) == 0 {
		return nil, fmt.Errorf("RunBackward: %d tensors, %d inputs", len(tensors), len(inputs))
	}
	flags := map[bool]int{true: 1}
	from, to, made := handles(tensors), handles(inputs), make([]lib.Ctensor, len(inputs))
	lib.AtRunBackward(&from[0], len(from), &to[0], len(to), &made[0], flags[keepGraphB], flags[createGraphB])
	if err := TorchErr(); err != nil {
		return nil, err
	}
	gradients := make([]*Tensor, len(made))
	for i := range made {
		gradients[i] = newTensor(made[i])
	}
	return gradients, nil
}
`)
}

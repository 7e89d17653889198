package torch

import (
	"errors"
	"fmt"
	"runtime"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/sugarme/gotch"
	"github.com/sugarme/gotch/ts"
)

// Mode says what a Run is for.
type Mode int

const (
	// Inference records no graph: results cannot be differentiated.
	Inference Mode = iota
	// Training records the graph for [Tensor.Backward].
	Training
)

// Device is a processor that tensors live on, with the one thread that may
// touch them. The zero value is not usable; see [Open].
type Device struct {
	name string
	kind gotch.Device
	jobs chan job

	// Only the device's own thread reads or writes these.
	scopes   []*scope
	mode     Mode
	recorded bool // whether operations record a graph
}

type job struct {
	run  func()
	done chan struct{}
}

var (
	devicesMu sync.Mutex
	devices   = map[string]*Device{}
)

// ErrNoDevice is returned by Open for a device that this machine or this
// libtorch does not have.
var ErrNoDevice = errors.New("no such device")

// Open returns the process's one owner of the device: "cpu", "cuda", "cuda:N",
// or "auto" for the first CUDA device where there is one and the CPU elsewhere.
func Open(name string) (*Device, error) {
	name, kind, err := resolve(name)
	if err != nil {
		return nil, err
	}
	devicesMu.Lock()
	defer devicesMu.Unlock()
	if d, ok := devices[name]; ok {
		return d, nil
	}
	if len(devices) == 0 {
		if err := ts.Pool(); err != nil {
			return nil, fmt.Errorf("open device %s: %w", name, err)
		}
	}
	d := &Device{name: name, kind: kind, jobs: make(chan job)}
	go d.serve()
	devices[name] = d
	return d, nil
}

func resolve(name string) (string, gotch.Device, error) {
	available := int(gotch.CUDA.DeviceCount())
	index := 0
	switch {
	case name == "cpu", name == "auto" && available == 0:
		return "cpu", gotch.CPU, nil
	case name == "cuda", name == "auto":
	case strings.HasPrefix(name, "cuda:"):
		n, err := strconv.Atoi(name[len("cuda:"):])
		if err != nil || n < 0 {
			return "", gotch.CPU, fmt.Errorf("device %q: %w", name, ErrNoDevice)
		}
		index = n
	default:
		return "", gotch.CPU, fmt.Errorf("device %q: %w (cpu, cuda, cuda:N and auto are known)", name, ErrNoDevice)
	}
	if index >= available {
		return "", gotch.CPU, fmt.Errorf("device %q: %w: libtorch sees %d CUDA devices", name, ErrNoDevice, available)
	}
	return fmt.Sprintf("cuda:%d", index), gotch.CudaBuilder(uint(index)), nil
}

// Name is "cpu" or "cuda:N".
func (d *Device) Name() string { return d.name }

// serve owns the thread: it never unlocks it, so the thread-locals of libtorch
// and its pool of workers stay with this device for the life of the process.
func (d *Device) serve() {
	runtime.LockOSThread()
	for j := range d.jobs {
		j.run()
		close(j.done)
	}
}

// Run calls fn on the device's thread and waits for it. Tensors that fn makes
// are freed when it returns, unless kept. The error is fn's own, or that of
// the first operation that libtorch refused. Calling Run of the same device
// from within fn would wait for itself: it is an error of the program.
func (d *Device) Run(mode Mode, fn func() error) error {
	var err error
	var bug any
	var stack []byte
	j := job{done: make(chan struct{}), run: func() {
		defer func() {
			if r := recover(); r != nil {
				bug, stack = r, debug.Stack()
			}
		}()
		err = d.guarded(mode, fn)
	}}
	d.jobs <- j
	<-j.done
	if bug != nil {
		panic(fmt.Sprintf("%v\n\non the thread of %s:\n%s", bug, d.name, stack))
	}
	return err
}

// guarded runs fn in a scope of its own and turns an opError into an error.
func (d *Device) guarded(mode Mode, fn func() error) (err error) {
	d.setMode(mode)
	depth := len(d.scopes)
	d.scopes = append(d.scopes, &scope{})
	defer func() {
		for len(d.scopes) > depth {
			d.closeScope()
		}
		if r := recover(); r != nil {
			op, ok := r.(*opError)
			if !ok {
				panic(r)
			}
			err = op
		}
	}()
	return fn()
}

func (d *Device) setMode(m Mode) { d.set(m, m == Training) }

func (d *Device) set(m Mode, recorded bool) {
	d.mode, d.recorded = m, recorded
	ts.SetGradEnabled(recorded)
}

// Trains tells whether the current Run is of Mode Training and no Without is
// around.
func (d *Device) Trains() bool { return d.mode == Training }

// Without runs fn with no graph recorded, inside a Training run: for the steps
// of an optimiser and for validation.
func (d *Device) Without(fn func()) {
	mode, recorded := d.mode, d.recorded
	d.setMode(Inference)
	defer d.set(mode, recorded)
	fn()
}

// Unrecorded runs fn with no graph recorded but as training otherwise, with its
// dropout: for what is frozen, and for what will be computed again.
func (d *Device) Unrecorded(fn func()) {
	recorded := d.recorded
	d.set(d.mode, false)
	defer d.set(d.mode, recorded)
	fn()
}

// opError is a refusal by libtorch, on its way up to Run.
type opError struct {
	op  string
	err error
}

func (e *opError) Error() string { return fmt.Sprintf("libtorch: %s: %v", e.op, e.err) }

func (e *opError) Unwrap() error { return e.err }

// ErrOutOfMemory is matched (with errors.Is) by an error of Run that comes from
// a device or host without enough memory.
var ErrOutOfMemory = errors.New("out of memory")

// Is lets errors.Is tell a lack of memory from other refusals.
func (e *opError) Is(target error) bool {
	if target != ErrOutOfMemory {
		return false
	}
	s := strings.ToLower(e.err.Error())
	return slices.ContainsFunc(lacks, func(l string) bool { return strings.Contains(s, l) })
}

// lacks are the words for a lack of memory of CUDA's allocator, of the CPU's,
// of C++, of the system and of oneDNN.
var lacks = []string{"out of memory", "can't allocate memory", "bad_alloc", "cannot allocate memory", "out_of_memory"}

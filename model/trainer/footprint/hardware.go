package footprint

import (
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"math"
	"os"
	"regexp"
	"runtime"
	"strconv"
	"strings"
)

// Machine is what a run runs on.
type Machine struct {
	// Device computes: "cpu", or "cuda:N" for a GPU.
	Device string
	// GPU is the model of the device, empty for a CPU and where it is unknown.
	GPU string
	// Cores is the number of the processor's cores that the process may use, and
	// CPU its model.
	Cores int
	CPU   string
	// Memory is that of the machine or of its container, in bytes; 0 where it is
	// unknown.
	Memory int64
}

// Hardware describes this machine with a device of it. On Linux it reads /proc;
// on other systems it knows the architecture and the number of processors.
func Hardware(device string) Machine {
	return describe(os.DirFS("/"), device, min(runtime.NumCPU(), runtime.GOMAXPROCS(0)), os.Getenv("OMP_NUM_THREADS"))
}

// describe reads the files under root. procs is how many logical processors the
// process may use, threads what libtorch is told to use; empty for its default,
// a thread a core.
func describe(root fs.FS, device string, procs int, threads string) Machine {
	m := Machine{Device: device, Cores: procs, CPU: runtime.GOARCH, Memory: memory(root)}
	if data, err := fs.ReadFile(root, "proc/cpuinfo"); err == nil {
		model, cores := cpuInfo(string(data))
		if model != "" {
			m.CPU = model
		}
		if cores > 0 {
			m.Cores = min(m.Cores, cores)
		}
	}
	if n, err := strconv.Atoi(threads); err == nil && n > 0 {
		m.Cores = min(m.Cores, n)
	}
	if device != "cpu" {
		m.GPU = gpu(root)
	}
	return m
}

// cpuInfo finds the model and the number of cores in /proc/cpuinfo. Hyperthreads
// of a core share its ids; where there are none, as on ARM, each processor is a
// core.
func cpuInfo(text string) (model string, cores int) {
	socket, processors := "", 0
	ids := map[string]bool{}
	for key, value := range fields(text) {
		switch key {
		case "processor":
			socket = ""
			processors++
		case "model name":
			model = value
		case "physical id":
			socket = value
		case "core id":
			ids[socket+"/"+value] = true
		}
	}
	if len(ids) > 0 {
		return model, len(ids)
	}
	return model, processors
}

// memory is that of the machine, or what its container may use of it.
func memory(root fs.FS) int64 {
	var total int64
	if data, err := fs.ReadFile(root, "proc/meminfo"); err == nil {
		for key, value := range fields(string(data)) {
			if key == "memtotal" {
				total = kilobytes(value)
			}
		}
	}
	if data, err := fs.ReadFile(root, "sys/fs/cgroup/memory.max"); err == nil {
		// "max" where there is no limit.
		if limit, err := strconv.ParseInt(strings.TrimSpace(string(data)), 10, 64); err == nil && limit > 0 && limit < total {
			return limit
		}
	}
	return total
}

// gpu is the model of the GPUs that NVIDIA's driver knows of. Which of several is
// cuda:0 depends on their speed and on the environment, so of different ones
// none is named.
func gpu(root fs.FS) string {
	found, _ := fs.Glob(root, "proc/driver/nvidia/gpus/*/information") // the pattern is well formed
	model := ""
	for _, path := range found {
		data, err := fs.ReadFile(root, path)
		if err != nil {
			return ""
		}
		for key, value := range fields(string(data)) {
			if key != "model" {
				continue
			}
			if model != "" && model != value {
				return ""
			}
			model = value
		}
	}
	return model
}

// fields yields the lines "key : value" of a file of /proc, keys in lower case,
// values with single spaces and without commas, which separate the parts of a
// description.
func fields(text string) iter.Seq2[string, string] {
	return func(yield func(key, value string) bool) {
		for line := range strings.Lines(text) {
			key, value, ok := strings.Cut(line, ":")
			value = strings.Join(strings.Fields(strings.ReplaceAll(value, ",", " ")), " ")
			if ok && !yield(strings.ToLower(strings.TrimSpace(key)), value) {
				return
			}
		}
	}
}

// kilobytes reads "123 kB" as bytes; 0 for anything else.
func kilobytes(value string) int64 {
	n, err := strconv.ParseInt(strings.TrimSuffix(value, " kB"), 10, 64)
	if err != nil || n < 0 || n > math.MaxInt64>>10 {
		return 0
	}
	return n << 10
}

const gib = 1 << 30

// String describes the machine in words, as in "cpu, 2 cores of AMD EPYC, 23.5
// GiB of memory".
func (m Machine) String() string {
	var b strings.Builder
	b.WriteString(m.Device)
	if m.GPU != "" {
		b.WriteString(", " + m.GPU)
	}
	noun := "cores"
	if m.Cores == 1 {
		noun = "core"
	}
	fmt.Fprintf(&b, ", %d %s", m.Cores, noun)
	if m.CPU != "" {
		b.WriteString(" of " + m.CPU)
	}
	if size := fmt.Sprintf("%.1f", float64(m.Memory)/gib); size != "0.0" {
		fmt.Fprintf(&b, ", %s GiB of memory", size)
	}
	return b.String()
}

// ErrDescription is wrapped where a text is no description of a machine.
var ErrDescription = errors.New("not the description of a machine")

var description = regexp.MustCompile(`^([^,]+)(?:, ([^,]+))?, (\d+) cores?(?: of ([^,]+))?(?:, (\d+\.\d) GiB of memory)?$`)

// Parse reads what String wrote. The memory is as exact as its text.
func Parse(text string) (Machine, error) {
	parts := description.FindStringSubmatch(text)
	if parts == nil {
		return Machine{}, fmt.Errorf("%w: %q", ErrDescription, text)
	}
	m := Machine{Device: parts[1], GPU: parts[2], CPU: parts[4]}
	var err error
	if m.Cores, err = strconv.Atoi(parts[3]); err != nil {
		return Machine{}, fmt.Errorf("%w: %q: cores: %w", ErrDescription, text, err)
	}
	if parts[5] == "" {
		return m, nil
	}
	size, err := strconv.ParseFloat(parts[5], 64)
	if err == nil && size >= math.MaxInt64/gib {
		err = strconv.ErrRange
	}
	if err != nil {
		return Machine{}, fmt.Errorf("%w: %q: memory: %w", ErrDescription, text, err)
	}
	m.Memory = int64(math.Round(size * gib))
	return m, nil
}

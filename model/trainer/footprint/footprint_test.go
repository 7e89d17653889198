package footprint

import (
	"errors"
	"io/fs"
	"math"
	"runtime"
	"strings"
	"testing"
	"testing/fstest"
)

func tree(files map[string]string) fs.FS {
	out := fstest.MapFS{}
	for name, text := range files {
		out[name] = &fstest.MapFile{Data: []byte(text)}
	}
	return out
}

// x86 has two sockets of two cores with two threads each; the ids of the cores
// are those within a socket.
var x86 = func() string {
	var b strings.Builder
	for _, ids := range []string{"0 0", "0 1", "1 0", "1 1", "0 0", "0 1", "1 0", "1 1"} {
		socket, core, _ := strings.Cut(ids, " ")
		b.WriteString("processor\t: 0\nvendor_id\t: GenuineIntel\nmodel\t\t: 143\nmodel name\t: Intel(R) Xeon(R) Platinum 8480+   @ 2.0GHz\n" +
			"physical id\t: " + socket + "\ncore id\t\t: " + core + "\ncpu cores\t: 2\npower management:\n\n")
	}
	return b.String()
}()

const (
	arm = "processor\t: 0\nBogoMIPS\t: 243.75\nCPU implementer\t: 0x41\n\nprocessor\t: 1\nBogoMIPS\t: 243.75\nCPU implementer\t: 0x41\n"

	// A virtual machine whose CPU name has a comma, and no ids.
	odd = "processor\t: 0\nmodel name\t: VIA,  Eden\t X2\n"

	meminfo = "MemTotal:       24683656 kB\nMemFree:        17352648 kB\n"

	h100 = "Model: \t\t NVIDIA H100 80GB HBM3\nIRQ:   \t\t 16\nGPU UUID: \t GPU-0\nBus Type: \t PCIe\nDevice Minor: \t 0\n"
	t4   = "Model: \t\t Tesla T4\nIRQ:   \t\t 17\n"
)

func TestDescribe(t *testing.T) {
	const xeon = "Intel(R) Xeon(R) Platinum 8480+ @ 2.0GHz"
	for name, c := range map[string]struct {
		files   map[string]string
		device  string
		procs   int
		threads string
		want    Machine
		text    string
	}{
		"hyperthreads": {map[string]string{"proc/cpuinfo": x86, "proc/meminfo": meminfo}, "cpu", 8, "",
			Machine{"cpu", "", 4, xeon, 24683656 << 10}, "cpu, 4 cores of " + xeon + ", 23.5 GiB of memory"},
		"affinity or quota": {map[string]string{"proc/cpuinfo": x86}, "cpu", 1, "",
			Machine{"cpu", "", 1, xeon, 0}, "cpu, 1 core of " + xeon},
		"OMP_NUM_THREADS": {map[string]string{"proc/cpuinfo": x86}, "cpu", 8, "3", Machine{"cpu", "", 3, xeon, 0}, ""},
		"more threads":    {map[string]string{"proc/cpuinfo": x86}, "cpu", 8, "16", Machine{"cpu", "", 4, xeon, 0}, ""},
		"threads as text": {map[string]string{"proc/cpuinfo": x86}, "cpu", 8, "many", Machine{"cpu", "", 4, xeon, 0}, ""},
		"no threads":      {map[string]string{"proc/cpuinfo": x86}, "cpu", 8, "0", Machine{"cpu", "", 4, xeon, 0}, ""},
		"ARM": {map[string]string{"proc/cpuinfo": arm}, "cpu", 4, "",
			Machine{"cpu", "", 2, runtime.GOARCH, 0}, "cpu, 2 cores of " + runtime.GOARCH},
		"comma": {map[string]string{"proc/cpuinfo": odd}, "cpu", 1, "", Machine{"cpu", "", 1, "VIA Eden X2", 0}, "cpu, 1 core of VIA Eden X2"},
		"no /proc": {nil, "cpu", 2, "",
			Machine{"cpu", "", 2, runtime.GOARCH, 0}, "cpu, 2 cores of " + runtime.GOARCH},
		"container": {map[string]string{"proc/meminfo": meminfo, "sys/fs/cgroup/memory.max": "2147483648\n"}, "cpu", 2, "",
			Machine{"cpu", "", 2, runtime.GOARCH, 2 << 30}, "cpu, 2 cores of " + runtime.GOARCH + ", 2.0 GiB of memory"},
		"container without limit": {map[string]string{"proc/meminfo": meminfo, "sys/fs/cgroup/memory.max": "max\n"}, "cpu", 2, "",
			Machine{"cpu", "", 2, runtime.GOARCH, 24683656 << 10}, ""},
		"limit above the machine": {map[string]string{"proc/meminfo": meminfo, "sys/fs/cgroup/memory.max": "9223372036854771712\n"}, "cpu", 2, "",
			Machine{"cpu", "", 2, runtime.GOARCH, 24683656 << 10}, ""},
		"GPU": {map[string]string{"proc/cpuinfo": x86, "proc/meminfo": meminfo, "proc/driver/nvidia/gpus/0000:04:00.0/information": h100}, "cuda:0", 8, "",
			Machine{"cuda:0", "NVIDIA H100 80GB HBM3", 4, xeon, 24683656 << 10},
			"cuda:0, NVIDIA H100 80GB HBM3, 4 cores of " + xeon + ", 23.5 GiB of memory"},
		"two alike": {map[string]string{"proc/driver/nvidia/gpus/0000:04:00.0/information": t4, "proc/driver/nvidia/gpus/0000:05:00.0/information": t4}, "cuda:1", 2, "",
			Machine{"cuda:1", "Tesla T4", 2, runtime.GOARCH, 0}, "cuda:1, Tesla T4, 2 cores of " + runtime.GOARCH},
		"two different": {map[string]string{"proc/driver/nvidia/gpus/0000:04:00.0/information": t4, "proc/driver/nvidia/gpus/0000:05:00.0/information": h100}, "cuda:0", 2, "",
			Machine{"cuda:0", "", 2, runtime.GOARCH, 0}, "cuda:0, 2 cores of " + runtime.GOARCH},
		"GPU beside": {map[string]string{"proc/driver/nvidia/gpus/0000:04:00.0/information": t4}, "cpu", 2, "",
			Machine{"cpu", "", 2, runtime.GOARCH, 0}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			got := describe(tree(c.files), c.device, c.procs, c.threads)
			if got != c.want {
				t.Errorf("got %+v, want %+v", got, c.want)
			}
			text := got.String()
			if c.text != "" && text != c.text {
				t.Errorf("in words %q, want %q", text, c.text)
			}
			back, err := Parse(text)
			if err != nil {
				t.Fatal(err)
			}
			if off := back.Memory - got.Memory; off > gib/20+1 || off < -gib/20-1 {
				t.Errorf("read back %d bytes of memory, want %d", back.Memory, got.Memory)
			}
			if back.Memory = got.Memory; back != got {
				t.Errorf("read back %+v, want %+v", back, got)
			}
		})
	}
}

func TestHardwareIsThisMachine(t *testing.T) {
	m := Hardware("cpu")
	if m.Device != "cpu" || m.GPU != "" || m.CPU == "" || m.Cores < 1 || m.Cores > runtime.NumCPU() {
		t.Errorf("got %+v", m)
	}
	if runtime.GOOS == "linux" && m.Memory < 1<<20 {
		t.Errorf("%d bytes of memory", m.Memory)
	}
}

func TestParseRefuses(t *testing.T) {
	for _, text := range []string{
		"", "cpu", "cpu, cores", "2 cores", "cpu, 2 threads", "cpu, -1 cores", "cpu, 99999999999999999999 cores", "cpu, 2 cores of ",
		"a, b, c, 2 cores", "cpu, 2 cores, 1 GiB of memory", "cpu, 2 cores, 9999999999999.0 GiB of memory", "cpu, 2 cores\n",
	} {
		if m, err := Parse(text); !errors.Is(err, ErrDescription) {
			t.Errorf("%q: got %+v, %v, want %v", text, m, err, ErrDescription)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add("cpu, 2 cores of AMD EPYC, 23.5 GiB of memory")
	f.Add("cuda:0, NVIDIA H100 80GB HBM3, 4 cores")
	f.Fuzz(func(t *testing.T, text string) {
		m, err := Parse(text)
		if err != nil {
			return
		}
		again, err := Parse(m.String())
		if err != nil {
			t.Fatalf("%q was read, but not %q: %v", text, m, err)
		}
		if again.String() != m.String() {
			t.Errorf("%q became %q", m, again)
		}
	})
}

// What the system's files hold makes a description that can be read back.
func FuzzDescribe(f *testing.F) {
	f.Add(x86, meminfo, "max\n", h100)
	f.Add(odd, "MemTotal: 9999999999999999999 kB", "-1", "Model: a\nModel: b")
	f.Fuzz(func(t *testing.T, cpuinfo, meminfo, limit, information string) {
		m := describe(tree(map[string]string{
			"proc/cpuinfo": cpuinfo, "proc/meminfo": meminfo, "sys/fs/cgroup/memory.max": limit,
			"proc/driver/nvidia/gpus/0000:04:00.0/information": information,
		}), "cuda:0", 2, "")
		if m.Cores < 1 || m.Memory < 0 {
			t.Errorf("got %+v", m)
		}
		if _, err := Parse(m.String()); err != nil {
			t.Error(err)
		}
	})
}

func TestPower(t *testing.T) {
	for _, c := range []struct {
		machine Machine
		watts   float64
	}{
		{Machine{Device: "cpu", Cores: 2}, 24},
		{Machine{Device: "cpu", Cores: 64, CPU: "AMD EPYC 7763 64-Core Processor"}, 768},
		{Machine{Device: "cpu"}, 12},
		{Machine{Device: "cuda:0"}, 200},
		{Machine{Device: "cuda:0", GPU: "NVIDIA Something New"}, 200},
		{Machine{Device: "cuda:0", GPU: "NVIDIA H100 80GB HBM3", Cores: 64}, 700},
		{Machine{Device: "cuda:0", GPU: "NVIDIA H100 PCIe"}, 350},
		{Machine{Device: "cuda:0", GPU: "NVIDIA H100 NVL"}, 400},
		{Machine{Device: "cuda:3", GPU: "NVIDIA H200"}, 700},
		{Machine{Device: "cuda:0", GPU: "NVIDIA A100-SXM4-80GB"}, 400},
		{Machine{Device: "cuda:0", GPU: "A100-SXM4-40GB"}, 400},
		{Machine{Device: "cuda:0", GPU: "NVIDIA A100-PCIE-40GB"}, 250},
		{Machine{Device: "cuda:0", GPU: "NVIDIA A100 80GB PCIe"}, 300},
		{Machine{Device: "cuda:0", GPU: "NVIDIA A10G"}, 300},
		{Machine{Device: "cuda:0", GPU: "NVIDIA A10"}, 150},
		{Machine{Device: "cuda:0", GPU: "NVIDIA L40S"}, 350},
		{Machine{Device: "cuda:0", GPU: "NVIDIA L4"}, 72},
		{Machine{Device: "cuda:0", GPU: "Tesla T4"}, 70},
		{Machine{Device: "cuda:0", GPU: "Tesla V100-SXM2-16GB"}, 300},
		{Machine{Device: "cuda:0", GPU: "Tesla V100-PCIE-16GB"}, 250},
		{Machine{Device: "cuda:0", GPU: "Tesla V100S-PCIE-32GB"}, 250},
		{Machine{Device: "cuda:0", GPU: "Tesla P100-PCIE-16GB"}, 250},
		{Machine{Device: "cuda:0", GPU: "NVIDIA RTX A6000"}, 300},
		{Machine{Device: "cuda:0", GPU: "NVIDIA RTX 6000 Ada Generation"}, 300},
		{Machine{Device: "cuda:0", GPU: "Quadro RTX 6000"}, 260},
		{Machine{Device: "cuda:0", GPU: "NVIDIA RTX PRO 6000 Blackwell Server Edition"}, 600},
		{Machine{Device: "cuda:0", GPU: "NVIDIA RTX PRO 6000 Blackwell Max-Q Workstation Edition"}, 200},
		{Machine{Device: "cuda:0", GPU: "NVIDIA GeForce RTX 4090"}, 450},
		{Machine{Device: "cuda:0", GPU: "NVIDIA GeForce RTX 4090 Laptop GPU"}, 200},
		{Machine{Device: "cuda:0", GPU: "NVIDIA GeForce RTX 4070 Ti SUPER"}, 285},
		{Machine{Device: "cuda:0", GPU: "NVIDIA GeForce RTX 4070 SUPER"}, 220},
		{Machine{Device: "cuda:0", GPU: "NVIDIA GeForce RTX 3060 Ti"}, 200},
		{Machine{Device: "cuda:0", GPU: "NVIDIA TITAN RTX"}, 280},
	} {
		if got, why := c.machine.Power(); got != c.watts || why == "" {
			t.Errorf("%s: got %v W, %q, want %v W", c.machine, got, why, c.watts)
		}
	}
}

// A row whose words another row before it has too would never be taken.
func TestRatingsReachEveryRow(t *testing.T) {
	for _, r := range ratings {
		if got := rating("NVIDIA " + strings.ToUpper(r.words)); got != r.watts {
			t.Errorf("%s: got %v W, want %v W", r.words, got, r.watts)
		}
	}
}

func TestOf(t *testing.T) {
	for _, c := range []struct {
		hours, watts, pue, grams float64
		want                     Estimate
	}{
		{10, 300, 1, 400, Estimate{10, 300, 1, 3, 400, 1.2}},
		{100, 250, 1.1, 20, Estimate{100, 250, 1.1, 27.5, 20, 0.55}},
		{1, 1000, 0, 100, Estimate{1, 1000, DefaultPUE, 1.56, 100, 0.156}},
		{1, 1000, 1, 0, Estimate{1, 1000, 1, 1, WorldAverage, 0.473}},
		{0, 700, 0, 0, Estimate{0, 700, DefaultPUE, 0, WorldAverage, 0}},
	} {
		got := Of(c.hours, c.watts, c.pue, c.grams)
		for what, pair := range map[string][2]float64{
			"Hours": {got.Hours, c.want.Hours}, "PowerWatts": {got.PowerWatts, c.want.PowerWatts}, "PUE": {got.PUE, c.want.PUE},
			"KWh": {got.KWh, c.want.KWh}, "GramsPerKWh": {got.GramsPerKWh, c.want.GramsPerKWh}, "KgCO2": {got.KgCO2, c.want.KgCO2},
		} {
			if math.Abs(pair[0]-pair[1]) > 1e-12*math.Abs(pair[1]) { // rounding of three products
				t.Errorf("Of(%v, %v, %v, %v): %s is %v, want %v", c.hours, c.watts, c.pue, c.grams, what, pair[0], pair[1])
			}
		}
	}
}

func TestEstimateTellsItsSources(t *testing.T) {
	m := Machine{Device: "cuda:0", GPU: "Tesla T4"}
	e, how := m.Estimate(2, 0)
	if e != Of(2, 70, 0, 0) {
		t.Errorf("got %+v", e)
	}
	for _, want := range []string{"70 W × 2 h × 1.56 = 0.218 kWh", "arXiv:1910.09700", "rated", "Uptime Institute", "Ember"} {
		if !strings.Contains(how, want) {
			t.Errorf("%q does not say %q", how, want)
		}
	}
	if e, how := m.Estimate(2, 30); e != Of(2, 70, 0, 30) || strings.Contains(how, "Ember") {
		t.Errorf("with an intensity of its own: got %+v, %q", e, how)
	}
}

var held []byte

func TestPeakMemoryGrowsWithWhatIsHeld(t *testing.T) {
	before := PeakMemory()
	if before == 0 {
		if runtime.GOOS == "linux" || runtime.GOOS == "darwin" {
			t.Fatal("the peak is unknown")
		}
		t.Skip("this system does not tell")
	}
	held = make([]byte, before+64<<20)
	for i := 0; i < len(held); i += 4096 { // a page is resident once it was written
		held[i] = 1
	}
	after := PeakMemory()
	if after < int64(len(held)) {
		t.Errorf("the peak is %d bytes while %d are held", after, len(held))
	}
	held = nil
	runtime.GC()
	if again := PeakMemory(); again < after {
		t.Errorf("the peak fell from %d to %d bytes", after, again)
	}
}

// The figure of getrusage, which other systems have to do with, is no less than
// the process's own peak.
func TestMaxResident(t *testing.T) {
	peak := PeakMemory()
	if peak == 0 {
		t.Skip("this system does not tell")
	}
	// Linux counts pages in batches on each processor: of the two figures one may
	// be exact while the other lags behind.
	if got := maxResident(); got < peak-16<<20 {
		t.Errorf("getrusage tells %d bytes, /proc %d", got, peak)
	}
}

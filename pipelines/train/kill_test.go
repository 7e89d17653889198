package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/blipflow/blipflow/model/checkpoint"
	"github.com/blipflow/blipflow/model/safetensors"
	"github.com/blipflow/blipflow/model/trainer"
	"github.com/blipflow/blipflow/pipelines/settings"
	"github.com/blipflow/blipflow/stages/train"
	"github.com/blipflow/blipflow/transforms/demo"
)

// Variables for a longer test by hand:
//
//	BLIPFLOW_KILLS=20 go test -run Kill -v ./pipelines/train
//
// The seed decides where the runs are killed, as far as the machine's speed
// allows; it is printed.
const (
	killsVariable = "BLIPFLOW_KILLS"
	seedVariable  = "BLIPFLOW_KILLS_SEED"
)

// evalSteps of the runs here are out of step with the saves.
const evalSteps = 5

// command is the program as it is used, with settings under which all that draws
// at random does so: order, captions, augmentation and dropout.
type command struct {
	program string
	args    []string
	work    string
}

func newCommand(t *testing.T) command {
	t.Helper()
	dir := t.TempDir()
	c := command{program: filepath.Join(dir, "train"), work: filepath.Join(dir, "work")}
	if out, err := exec.Command("go", "build", "-o", c.program, ".").CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
	const pictures, seed = 60, 1
	model := train.SmallConfig()
	model.Text.HiddenDropout, model.Text.AttentionDropout, model.Vision.AttentionDropout = 0.1, 0.1, 0.1
	words := func(yield func(string) bool) {
		for i := range uint64(pictures) {
			for _, caption := range demo.NewScene(seed, i).Captions() {
				if !yield(caption) {
					return
				}
			}
		}
	}
	base, err := train.Scratch(dir, model, words, 4000, 1)
	if err != nil {
		t.Fatal(err)
	}
	c.args = []string{
		"--preset=demo", "--dataset=demo", fmt.Sprint("--demo_pictures=", pictures), fmt.Sprint("--demo_seed=", seed),
		"--model=" + base, "--output=out", "--device=cpu",
		"--num_train_epochs=5", "--per_device_train_batch_size=4", "--per_device_eval_batch_size=8",
		"--gradient_accumulation_steps=2", "--accumulation_average=tokens", "--gradient_checkpointing",
		"--captions_per_image=random", "--augment=blip", "--ema_decay=0.8", "--learning_rate=0.003",
		"--lr_scheduler_type=cosine", "--warmup_ratio=0.2",
		"--save_strategy=steps", "--save_steps=3", "--eval_strategy=steps", fmt.Sprint("--eval_steps=", evalSteps),
		"--max_eval_samples=4", "--logging_steps=1", "--num_beams=2", "--max_new_tokens=12",
		"--metric_for_best_model=sacrebleu",
	}
	return c
}

// place is an empty folder, the same for all runs: some of what they write names
// it.
func (c command) place(t *testing.T) string {
	t.Helper()
	if err := errors.Join(os.RemoveAll(c.work), os.Mkdir(c.work, 0o755)); err != nil {
		t.Fatal(err)
	}
	return c.work
}

// attempt is a process that runs a command.
type attempt struct {
	cmd    *exec.Cmd
	output bytes.Buffer
	ended  chan struct{}
	err    error // of Wait, once it has ended
}

// start runs the command in a folder.
func (c command) start(t *testing.T, dir string, more ...string) *attempt {
	t.Helper()
	a := &attempt{cmd: exec.Command(c.program, append(slices.Clone(c.args), more...)...), ended: make(chan struct{})}
	a.cmd.Dir = dir
	// A sum on the CPU depends on how many threads share it.
	a.cmd.Env = append(os.Environ(), "OMP_NUM_THREADS=2", "MKL_NUM_THREADS=2", "OMP_WAIT_POLICY=passive")
	a.cmd.Stdout, a.cmd.Stderr = &a.output, &a.output
	if err := a.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		a.err = a.cmd.Wait()
		close(a.ended)
	}()
	t.Cleanup(func() {
		_ = a.cmd.Process.Kill()
		<-a.ended
	})
	return a
}

// code waits for the end and gives the exit code, -1 for a process that was
// killed.
func (a *attempt) code() int {
	<-a.ended
	return a.cmd.ProcessState.ExitCode()
}

func (a *attempt) succeed(t *testing.T) {
	t.Helper()
	if code := a.code(); code != settings.ExitDone {
		t.Fatalf("exit code %d:\n%s", code, &a.output)
	}
}

// poll waits until a condition holds or the process ends, and tells which.
func (a *attempt) poll(until func() bool) bool {
	for {
		select {
		case <-a.ended:
			return false
		case <-time.After(time.Millisecond):
			if until() {
				return true
			}
		}
	}
}

// sleep is poll for some time.
func (a *attempt) sleep(d time.Duration) bool {
	select {
	case <-a.ended:
		return false
	case <-time.After(d):
		return true
	}
}

// out is the output of the command in a folder, or something in it.
func out(dir string, name ...string) string {
	return filepath.Join(append([]string{dir, "out"}, name...)...)
}

// journal follows the training log of one attempt.
type journal struct {
	path  string
	stale fs.FileInfo // the log of the attempt before
}

func openJournal(dir string) journal {
	j := journal{path: out(dir, checkpointFolder, train.LogFile)}
	j.stale, _ = os.Stat(j.path) // nil at the first attempt
	return j
}

// lines are those that stand in the attempt's log, none before it trains.
func (j journal) lines() [][]byte {
	f, err := os.Open(j.path)
	if err != nil {
		return nil
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil || j.stale != nil && os.SameFile(info, j.stale) {
		return nil
	}
	text, err := io.ReadAll(f)
	if err != nil {
		return nil
	}
	return slices.DeleteFunc(bytes.SplitAfter(text, []byte("\n")), func(line []byte) bool { return !bytes.HasSuffix(line, []byte("\n")) })
}

// evaluating reports whether the last line is that of a step after which an
// evaluation is due.
func (j journal) evaluating() bool {
	lines := j.lines()
	if len(lines) == 0 {
		return false
	}
	var last trainer.Record
	return json.Unmarshal(lines[len(lines)-1], &last) == nil && last.Loss != nil && last.Step%evalSteps == 0
}

// moment is when to kill a run: within a time after something is to be seen.
type moment struct {
	name   string
	wait   func(a *attempt, dir string, r *rand.Rand) bool
	within time.Duration
}

// seen waits for a file in the output that was not left by an attempt before.
func seen(pattern ...string) func(*attempt, string, *rand.Rand) bool {
	return func(a *attempt, dir string, _ *rand.Rand) bool {
		find := func() []string {
			found, _ := filepath.Glob(out(dir, pattern...)) // the patterns are good
			return found
		}
		left := find()
		return a.poll(func() bool {
			return slices.ContainsFunc(find(), func(name string) bool { return !slices.Contains(left, name) })
		})
	}
}

// moments are in the order of a run.
var moments = []moment{
	{"at the start", func(*attempt, string, *rand.Rand) bool { return true }, time.Second},
	{"while preprocessing", seen(dataFolder, ".work-*"), 300 * time.Millisecond},
	{"in a step", func(a *attempt, dir string, r *rand.Rand) bool {
		j, steps := openJournal(dir), 1+r.IntN(6)
		if !a.poll(func() bool { return len(j.lines()) > 0 }) {
			return false
		}
		begun := len(j.lines())
		return a.poll(func() bool { return len(j.lines()) >= begun+steps })
	}, 50 * time.Millisecond},
	{"in an evaluation", func(a *attempt, dir string, _ *rand.Rand) bool {
		return a.poll(openJournal(dir).evaluating)
	}, 100 * time.Millisecond},
	{"while a checkpoint is written", seen(checkpointFolder, ".checkpoint-*"), 40 * time.Millisecond},
	{"in the export", seen(".export-*"), 20 * time.Millisecond},
}

// anyMoment of a run that takes that long.
func anyMoment(whole time.Duration) moment {
	return moment{"at any time", func(*attempt, string, *rand.Rand) bool { return true }, whole}
}

// kill ends the attempt at a moment, and reports whether it came to that.
func (m moment) kill(t *testing.T, a *attempt, dir string, r *rand.Rand) bool {
	t.Helper()
	after := time.Duration(r.Int64N(int64(m.within)))
	if !m.wait(a, dir, r) || !a.sleep(after) {
		return false
	}
	if err := a.cmd.Process.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
		t.Fatal(err)
	}
	killed := a.code() == -1
	if killed {
		t.Logf("killed %s, %v later, with %s", m.name, after.Round(time.Millisecond), progressOf(t, dir))
	}
	return killed
}

// progressOf says how far a run is. Whatever is there must be whole.
func progressOf(t *testing.T, dir string) string {
	t.Helper()
	said := "nothing exported"
	if _, err := os.Stat(out(dir, safetensors.SingleName)); err == nil {
		said = "the model exported"
		if _, err := checkpoint.Open(out(dir)); err != nil {
			t.Errorf("a killed run exported half a model: %v", err)
		}
	}
	steps, err := trainer.Checkpoints(out(dir, checkpointFolder))
	if err != nil {
		t.Fatal(err)
	}
	for _, step := range steps {
		folder := out(dir, checkpointFolder, trainer.Name(step))
		state, err := trainer.ReadState(folder)
		if err != nil || state.GlobalStep != step {
			t.Errorf("%s is of step %d (%v)", folder, state.GlobalStep, err)
		}
		if _, err := checkpoint.Open(folder); err != nil {
			t.Errorf("a killed run left half a checkpoint: %v", err)
		}
		for _, name := range []string{safetensors.SingleName, trainer.OptimizerFile, trainer.WeightsFile} {
			f, err := safetensors.Open(filepath.Join(folder, name))
			if err != nil {
				t.Errorf("a killed run left half a checkpoint: %v", err)
				continue
			}
			if err := f.Close(); err != nil {
				t.Error(err)
			}
		}
	}
	return fmt.Sprintf("checkpoints %v, %s", steps, said)
}

// outcome is all that a run leaves which has to be the same, by name. What tells of
// time or of memory is left out.
func outcome(t *testing.T, dir string) map[string]string {
	t.Helper()
	state, err := trainer.Latest(out(dir, checkpointFolder))
	if err != nil {
		t.Fatal(err)
	}
	if state.GlobalStep != state.MaxSteps {
		t.Errorf("the run ended after %d steps of %d", state.GlobalStep, state.MaxSteps)
	}
	files := map[string]string{}
	add := func(as, folder string) {
		entries, err := os.ReadDir(folder)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range entries {
			if e.IsDir() || strings.HasPrefix(e.Name(), ".") || e.Name() == checkpoint.CardFile {
				continue
			}
			text, err := os.ReadFile(filepath.Join(folder, e.Name()))
			if err != nil {
				t.Fatal(err)
			}
			files[as+e.Name()] = string(text)
		}
	}
	for as, name := range map[string]string{"last: ": trainer.Name(state.GlobalStep), "best: ": state.BestCheckpoint} {
		add(as, out(dir, checkpointFolder, name))
		files[as+trainer.StateFile] = timeless(t, files[as+trainer.StateFile],
			"train_runtime", "wait_runtime", "eval_runtime", "peak_memory_bytes", "settings") // for when the pictures were drawn
	}
	add("exported: ", out(dir))
	if len(read(t, out(dir, checkpoint.CardFile))) == 0 { // it tells of time and energy
		t.Error("the model card is empty")
	}
	manifest := "exported: " + captionsFile + ".manifest.json"
	files[manifest] = timeless(t, files[manifest], "identity") // for when the shards were written
	files["log: "+train.LogFile] = read(t, out(dir, checkpointFolder, train.LogFile))
	return files
}

// timeless is JSON without the values under some keys.
func timeless(t *testing.T, text string, keys ...string) string {
	t.Helper()
	var values map[string]any
	if err := json.Unmarshal([]byte(text), &values); err != nil {
		t.Fatal(err)
	}
	for _, key := range keys {
		if _, ok := values[key]; !ok {
			t.Errorf("there is no %s in %s", key, text)
		}
		delete(values, key)
	}
	plain, err := json.Marshal(values)
	if err != nil {
		t.Fatal(err)
	}
	return string(plain)
}

func read(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// sameOutcome compares what the run in a folder has left with that of the run that
// was left alone.
func sameOutcome(t *testing.T, dir string, want map[string]string) {
	t.Helper()
	got := outcome(t, dir)
	if !slices.Equal(slices.Sorted(maps.Keys(got)), slices.Sorted(maps.Keys(want))) {
		t.Errorf("it has %v,\nwant %v", slices.Sorted(maps.Keys(got)), slices.Sorted(maps.Keys(want)))
	}
	for _, name := range slices.Sorted(maps.Keys(want)) {
		if got[name] != want[name] {
			t.Errorf("%s differs %s", name, difference(got[name], want[name]))
		}
	}
	for _, pattern := range [][]string{{checkpointFolder, ".checkpoint-*"}, {".export-*"}, {dataFolder, ".work-*"}} {
		if left, err := filepath.Glob(out(dir, pattern...)); err != nil || len(left) > 0 {
			t.Errorf("left behind: %v (%v)", left, err)
		}
	}
}

// difference is where two texts part, in words.
func difference(got, want string) string {
	at := 0
	for at < min(len(got), len(want)) && got[at] == want[at] {
		at++
	}
	around := func(s string) string { return s[max(0, at-200):min(len(s), at+200)] }
	return fmt.Sprintf("at byte %d of %d and %d:\n%q\nwant\n%q", at, len(got), len(want), around(got), around(want))
}

// A run that is interrupted, however it is, ends as one that is not, to the bit; and
// a second command in its output does not disturb it.
func TestKilledRunEndsAsOneThatWasNot(t *testing.T) {
	if testing.Short() {
		t.Skip("builds the program and runs it often")
	}
	c := newCommand(t)
	dir := c.place(t)
	began := time.Now()
	c.start(t, dir).succeed(t)
	whole := time.Since(began)
	want := outcome(t, dir)
	state, err := trainer.Latest(out(dir, checkpointFolder))
	if err != nil || state.MaxSteps < 4*evalSteps || state.BestCheckpoint == trainer.Name(state.MaxSteps) {
		t.Fatalf("the run is too short to be killed on the way, or its last checkpoint is the best: %+v (%v)", state, err)
	}
	t.Logf("left alone it takes %v for %d steps, %s is best", whole.Round(time.Millisecond), state.MaxSteps, state.BestCheckpoint)
	alone := dir + " alone"
	if err := os.Rename(dir, alone); err != nil {
		t.Fatal(err)
	}
	t.Run("SIGKILL", func(t *testing.T) { killRuns(t, c, whole, want) })
	t.Run("SIGTERM", func(t *testing.T) { stopRun(t, c, want) })
	t.Run("twice at once", func(t *testing.T) { runTwice(t, c, alone) })
}

// killRuns kills as often as it is told, in as many runs as that takes.
func killRuns(t *testing.T, c command, whole time.Duration, want map[string]string) {
	kills, seed := 3, time.Now().UnixNano()
	for name, set := range map[string]func(n int64){
		killsVariable: func(n int64) { kills = int(n) }, seedVariable: func(n int64) { seed = n },
	} {
		if text := os.Getenv(name); text != "" {
			n, err := strconv.ParseInt(text, 10, 64)
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			set(n)
		}
	}
	t.Logf("%d kills, %s=%d", kills, seedVariable, seed)
	r := rand.New(rand.NewPCG(uint64(seed), 0))
	for kills > 0 {
		dir := c.place(t)
		// In the order of a run, since its end comes once.
		picked := r.Perm(len(moments))[:min(kills, 3)]
		slices.Sort(picked)
		plan := []moment{}
		for _, i := range picked {
			plan = append(plan, moments[i])
		}
		if kills > len(plan) {
			plan = slices.Insert(plan, r.IntN(len(plan)+1), anyMoment(whole))
		}
		for len(plan) > 0 {
			a := c.start(t, dir)
			if !plan[0].kill(t, a, dir, r) {
				// What it waited for does not come again in this run, as that of the
				// next may.
				a.succeed(t)
				t.Logf("ended before a kill %s", plan[0].name)
			} else {
				kills--
			}
			plan = plan[1:]
		}
		a := c.start(t, dir)
		a.succeed(t)
		sameOutcome(t, dir, want)
	}
}

// stopRun ends a run in a step, as a scheduler does that wants the machine back.
func stopRun(t *testing.T, c command, want map[string]string) {
	dir := c.place(t)
	a := c.start(t, dir)
	log := openJournal(dir)
	if !a.poll(func() bool { return len(log.lines()) >= 7 }) {
		t.Fatalf("it ended by itself:\n%s", &a.output)
	}
	if err := a.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if code := a.code(); code != settings.ExitStopped {
		t.Fatalf("exit code %d after SIGTERM, want %d:\n%s", code, settings.ExitStopped, &a.output)
	}
	state, err := trainer.Latest(out(dir, checkpointFolder))
	if err != nil {
		t.Fatal(err)
	}
	// A step's line comes before its checkpoint, and one step may be under way.
	var last trainer.Record
	lines := log.lines()
	if err := json.Unmarshal(lines[len(lines)-1], &last); err != nil {
		t.Fatal(err)
	}
	if state.GlobalStep != last.Step || state.GlobalStep == state.MaxSteps {
		t.Errorf("saved step %d of %d, the log ends with step %d", state.GlobalStep, state.MaxSteps, last.Step)
	}
	t.Logf("stopped with %s", progressOf(t, dir))
	c.start(t, dir).succeed(t)
	sameOutcome(t, dir, want)
}

// endless is the flag of a run that has to be stopped.
const endless = "--max_steps=1000000"

// runTwice starts other commands while a first one trains in the same output.
func runTwice(t *testing.T, c command, alone string) {
	dir := c.place(t)
	first := c.start(t, dir, endless)
	log := openJournal(dir)
	if !first.poll(func() bool { return len(log.lines()) >= 2 }) {
		t.Fatalf("the first command ended by itself:\n%s", &first.output)
	}
	// The same shards from elsewhere, so that the two meet only where they train.
	second := c.start(t, dir, endless, "--dataset="+out(alone, dataFolder))
	if code := second.code(); code != settings.ExitFailed || !strings.Contains(second.output.String(), fmt.Sprint("process ", first.cmd.Process.Pid, " on ")) {
		t.Errorf("a second command: exit code %d\n%s\nwant %d and the first one's process, %d", code, &second.output, settings.ExitFailed, first.cmd.Process.Pid)
	}
	// The very same, which wants the folder of the shards first.
	third := c.start(t, dir, endless)
	if code := third.code(); code != settings.ExitFailed || !strings.Contains(third.output.String(), "another run is writing there") {
		t.Errorf("the same command: exit code %d\n%s", code, &third.output)
	}
	// The first one goes on as one does that nothing comes near.
	undisturbed := t.TempDir()
	other := c.start(t, undisturbed, endless)
	want := openJournal(undisturbed)
	if enough := len(log.lines()) + 5; !other.poll(func() bool { return len(want.lines()) >= enough && len(log.lines()) >= enough }) {
		t.Fatalf("it ended by itself:\n%s", &other.output)
	}
	if err := first.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if code := first.code(); code != settings.ExitStopped {
		t.Errorf("the first command: exit code %d\n%s", code, &first.output)
	}
	t.Logf("the first was stopped with %s", progressOf(t, dir))
	got, expected := bytes.Join(log.lines(), nil), bytes.Join(want.lines(), nil)
	if !bytes.HasPrefix(got, expected) && !bytes.HasPrefix(expected, got) {
		t.Errorf("the first command logged\n%s\nwant\n%s", got, expected)
	}
}

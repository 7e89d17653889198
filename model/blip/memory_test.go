package blip

import (
	"context"
	"encoding/json"
	"os"
	"strconv"
	"strings"
	"testing"

	"github.com/blipflow/blipflow/model/torch"
)

// resident is this process's resident memory in bytes; 0 where the system does
// not say.
func resident() int64 {
	data, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		return 0
	}
	pages, err := strconv.ParseInt(strings.Fields(string(data))[1], 10, 64)
	if err != nil {
		return 0
	}
	return pages * int64(os.Getpagesize())
}

// A thousand batches of training and of captioning leave no tensor behind, and
// no memory: a single lost activation of a batch would be 100 KB each time.
func TestMemoryIsSteadyOverBatches(t *testing.T) {
	noneLeft(t)
	m := generationModel(t, 1)
	defer m.Close()
	var cases []forwardCase
	golden(t, "tiny", &cases)
	batch := cases[2].batch(m.Config)
	pixels := m.testPictures(1, 8)
	prompts := make([][]int32, 8)
	for i := range prompts {
		prompts[i] = []int32{int32(m.Config.Text.BOSTokenID)}
	}
	config := testConfig(t, m, json.RawMessage(`{"num_beams":2,"max_new_tokens":4}`))
	live := torch.Live()
	round := func() {
		if err := m.device.Run(torch.Training, func() error {
			out, err := m.Forward(batch)
			if err == nil {
				out.Loss.Backward()
			}
			return err
		}); err != nil {
			t.Fatal(err)
		}
		if _, err := m.Generate(context.Background(), pixels, prompts, config); err != nil {
			t.Fatal(err)
		}
	}
	if err := m.device.Run(torch.Inference, func() error {
		for _, p := range m.Params() {
			p.Tensor.RequireGrad(torch.Collected)
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	rounds := 1000
	if testing.Short() {
		rounds = 200
	}
	for range 50 { // allocators and caches fill up
		round()
	}
	before := resident()
	for range rounds {
		round()
	}
	if now := torch.Live(); now != live {
		t.Errorf("%d tensors more are alive", now-live)
	}
	if grown := resident() - before; grown > 32<<20 {
		t.Errorf("memory grew by %d MB in %d batches", grown>>20, rounds)
	}
}

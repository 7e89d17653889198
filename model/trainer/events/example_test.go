package events_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/blipflow/blipflow/model/trainer/events"
)

// Run: tensorboard --logdir runs
func ExampleWriter() {
	runs, err := os.MkdirTemp("", "runs")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(runs)
	w, err := events.Open(runs, 0)
	if err != nil {
		fmt.Println(err)
		return
	}
	err = errors.Join(
		w.Text("args", "```json\n{\"learning_rate\": 5e-05}\n```", 0),
		w.Scalar("train/loss", 2.31, 50, time.Now()),
		w.Scalar("eval/sacrebleu", 27.4, 50, time.Now()),
		w.Close(),
	)
	if err != nil {
		fmt.Println(err)
		return
	}
	files, err := filepath.Glob(filepath.Join(runs, "events.out.tfevents.*"))
	fmt.Println(len(files), "file", err)
	// Output: 1 file <nil>
}

package meteor_test

import (
	"fmt"
	"log"
	"os"

	"github.com/blipflow/blipflow/metrics/meteor"
)

// The tables of this example know few words. Give Open the folder meteor of
// pycocoevalcap's wheel.
func Example() {
	folder, err := os.MkdirTemp("", "meteor")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(folder)
	if err := smallFiles().write(folder); err != nil {
		log.Print(err)
		return
	}
	tables, err := meteor.Open(folder)
	if err != nil {
		log.Print(err)
		return
	}
	var set meteor.Stats
	for _, picture := range []struct {
		prediction string
		references []string
	}{
		{"a car stops on the big hill", []string{"an auto stopped on a mountain", "cars on a hill"}},
		{"two cats", []string{"two cats", "a pair of cats"}},
	} {
		one := tables.Segment(picture.prediction, picture.references)
		fmt.Printf("%.4f\n", one.Score())
		set.Merge(one)
	}
	fmt.Printf("the set: %.4f\n", set.Score())
	// Output:
	// 0.3114
	// 1.0000
	// the set: 0.3873
}

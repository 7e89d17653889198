package demo_test

import (
	"fmt"
	"os"
	"path/filepath"

	"github.com/blipflow/blipflow/transforms/demo"
)

func ExampleScene_Captions() {
	scene := demo.NewScene(1, 0)
	fmt.Println(scene.Draw().Bounds().Size())
	for _, caption := range scene.Captions() {
		fmt.Println(caption)
	}
	// Output:
	// (183,181)
	// two small orange stars on the left
	// a picture of two small orange stars
	// two small orange stars on the left of the picture
	// there are two small orange stars on the left
	// a drawing with two orange stars on the left
}

func ExampleParse() {
	facts, ok := demo.Parse("there are two small red circles on the left")
	fmt.Println(facts.Count, facts.Size, facts.Colour, facts.Shape, facts.Place, ok)
	// Output: 2 small red circle left true
}

func ExampleScore() {
	truths := []demo.Facts{demo.NewScene(1, 0).Facts, demo.NewScene(1, 1).Facts}
	accuracy, err := demo.Score([]string{"two orange stars", "a blue ring"}, truths)
	fmt.Println(accuracy, err)
	// Output: exact 50.0 % (shape 50.0 %, colour 50.0 %, count 50.0 %) of 2 captions <nil>
}

func ExampleWrite() {
	dir, err := os.MkdirTemp("", "demo")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(dir)
	if err := demo.Write(filepath.Join(dir, "shapes"), demo.Options{Seed: 1, Pictures: 20, Test: 10}); err != nil {
		fmt.Println(err)
		return
	}
	pictures, err := filepath.Glob(filepath.Join(dir, "shapes", "images", "*.jpg"))
	fmt.Println(len(pictures), err)
	// Output: 20 <nil>
}

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
	// (183,175)
	// two big purple stars at the top
	// a picture of two big purple stars
	// two big purple stars at the top of the picture
	// there are two big purple stars at the top
	// a drawing with two purple stars at the top
}

func ExampleParse() {
	facts, ok := demo.Parse("there are two small red circles on the left")
	fmt.Println(facts.Count, facts.Size, facts.Colour, facts.Shape, facts.Place, ok)
	// Output: 2 small red circle left true
}

func ExampleScore() {
	truths := []demo.Facts{
		{Shape: demo.Star, Colour: demo.Orange, Count: 2},
		{Shape: demo.Ring, Colour: demo.Black, Count: 1},
	}
	accuracy, err := demo.Score([]string{"two orange stars", "a blue ring"}, truths)
	fmt.Println(accuracy, err)
	// Output: exact 50.0 % (shape 100.0 %, colour 50.0 %, count 100.0 %) of 2 captions <nil>
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

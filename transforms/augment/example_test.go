package augment_test

import (
	"fmt"

	"github.com/blipflow/blipflow/transforms/augment"
	"github.com/blipflow/blipflow/transforms/imaging"
)

func ExampleRecipe_Apply() {
	var recipe augment.Recipe
	if err := recipe.UnmarshalText([]byte("crop,flip")); err != nil {
		fmt.Println(err)
		return
	}
	squashed := imaging.NewRGB(384, 384) // of a picture of 500 by 375 pixels
	seen := recipe.Apply(squashed, augment.Record{
		ID: "1000268201", Width: 500, Height: 375, Caption: 0, Text: "a child climbs the stairs",
	}, 42, 1)
	fmt.Println(recipe, seen.W, seen.H)
	// Output: crop,flip 384 384
}

func ExampleNamesSide() {
	fmt.Println(augment.NamesSide("a dog on the left of a bench"))
	fmt.Println(augment.NamesSide("an upright piano in bright light"))
	// Output:
	// true
	// false
}

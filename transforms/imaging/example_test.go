package imaging_test

import (
	"fmt"
	"log"
	"os"

	"github.com/blipflow/blipflow/transforms/imaging"
)

// A file's bytes become the input of the vision encoder.
func Example() {
	data, err := os.ReadFile("../../testdata/golden/imaging/files/orientation_6.jpg")
	if err != nil {
		log.Fatal(err)
	}
	picture, info, err := imaging.Decode(data, imaging.DecodeOptions{})
	if err != nil {
		log.Fatal(imaging.Code(err), err)
	}
	fmt.Printf("%s of %dx%d, upright %dx%d\n", info.Format, info.Width, info.Height, picture.W, picture.H)

	p := imaging.DefaultProcessor(384)
	small := p.Apply(picture)
	x := make([]float32, 3*p.Height*p.Width)
	if err := p.Normalize(x, small); err != nil {
		log.Fatal(err)
	}
	fmt.Println(small.W, small.H, len(x))
	// Output:
	// jpeg of 19x13, upright 13x19
	// 384 384 442368
}

func ExampleCode() {
	_, _, err := imaging.Decode([]byte("<html>not found</html>"), imaging.DecodeOptions{})
	fmt.Println(imaging.Code(err))
	// Output: unknown_format
}

func ExampleParseProcessor() {
	p, err := imaging.ParseProcessor([]byte(`{
		"image_processor_type": "BlipImageProcessor",
		"size": {"height": 384, "width": 384},
		"resample": 3
	}`))
	fmt.Println(p.Width, p.Height, p.Resample, err)

	_, err = imaging.ParseProcessor([]byte(`{"size": {"shortest_edge": 224}}`))
	fmt.Println(err)
	// Output:
	// 384 384 bicubic <nil>
	// image processor settings: size has shortest_edge, want height and width only
}

func ExampleResize() {
	m := imaging.NewRGB(641, 483)
	fmt.Println(len(imaging.Resize(m, 384, 384, imaging.Bicubic).Pix))
	// Output: 442368
}

package blip

import (
	"fmt"
	"io"
	"path/filepath"

	"github.com/blipflow/blipflow/model/nn"
	"github.com/blipflow/blipflow/model/safetensors"
	"github.com/blipflow/blipflow/model/torch"
)

// Save writes the weights into a folder as model.safetensors, in float32, with
// the updates of an adapter merged into them: the file is that of a model
// without one. The weights in memory stay as they are. The file appears whole or
// not at all.
func (m *Model) Save(folder string, metadata map[string]string) error {
	var sources []safetensors.Source
	err := m.device.Run(torch.Inference, func() error {
		for _, p := range m.params {
			sources = append(sources, m.source(p))
		}
		return nil
	})
	if err != nil {
		return err
	}
	return safetensors.Write(filepath.Join(folder, safetensors.SingleName), sources, metadata)
}

// source hands out a parameter when its turn in the file comes, so that one
// tensor at a time is copied.
func (m *Model) source(p *nn.Param) safetensors.Source {
	return safetensors.Source{
		Name: p.Name, DType: safetensors.F32, Shape: p.Tensor.Shape(),
		WriteTo: func(w io.Writer) error {
			var data []byte
			if err := m.device.Run(torch.Inference, func() error {
				data = p.Merged().To(torch.Float32).Bytes()
				return nil
			}); err != nil {
				return fmt.Errorf("copy %s out: %w", p.Name, err)
			}
			_, err := w.Write(data)
			return err
		},
	}
}

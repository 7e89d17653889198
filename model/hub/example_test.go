package hub_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"github.com/blipflow/blipflow/model/hub"
	"github.com/blipflow/blipflow/model/hub/hubtest"
)

func ExampleClient_Snapshot() {
	home, err := os.MkdirTemp("", "hub")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(home)
	server := hubtest.Start() // in place of huggingface.co
	defer server.Close()
	server.AddModel("org/name", map[string][]byte{
		"config.json":       []byte(`{"model_type": "blip"}`),
		"model.safetensors": make([]byte, 1000),
		"pytorch_model.bin": make([]byte, 1000),
	})

	client, err := hub.FromEnv(server.Env(home)) // os.Getenv, usually
	if err != nil {
		fmt.Println(err)
		return
	}
	repo, err := hub.ParseRepo(hub.Model, "org/name@main")
	if err != nil {
		fmt.Println(err)
		return
	}
	dir, err := client.Snapshot(context.Background(), repo, hub.Match("*.json", "*.safetensors"))
	if err != nil {
		fmt.Println(err)
		return
	}
	files, err := filepath.Glob(filepath.Join(dir, "*"))
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, file := range files {
		fmt.Println(filepath.Base(file))
	}
	// Output:
	// config.json
	// model.safetensors
}

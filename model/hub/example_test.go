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

func ExampleClient_Upload() {
	folder, err := os.MkdirTemp("", "model")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(folder)
	if err := os.WriteFile(filepath.Join(folder, "config.json"), []byte(`{"model_type": "blip"}`), 0o666); err != nil {
		fmt.Println(err)
		return
	}
	server := hubtest.Start() // in place of huggingface.co
	defer server.Close()
	server.AddUser("me", "hf_token")

	client, err := hub.FromEnv(server.Env(folder, "HF_TOKEN=hf_token")) // os.Getenv, usually
	if err != nil {
		fmt.Println(err)
		return
	}
	repo, err := hub.ParseRepo(hub.Model, "name") // one of the token's own account
	if err != nil {
		fmt.Println(err)
		return
	}
	commit, err := client.Upload(context.Background(), hub.Upload{Repo: repo, Folder: folder, Message: "A first model"})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(commit.Repo, commit.Files)
	// Output:
	// model me/name 1
}

package dataset

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"strings"
)

// flickrFolders are where copies of Flickr8k and Flickr30k have their pictures.
var flickrFolders = []string{
	"Images", "images", "Flicker8k_Dataset", "Flickr8k_Dataset", "flickr30k-images", "flickr30k_images",
	"Flickr8k_Dataset/Flicker8k_Dataset", "Flickr8k_Dataset/Flickr8k_Dataset",
}

// pictureFolders are the folders that a row's picture may be in, relative to the
// root: the metadata's own, those beside it, and those of the root.
func pictureFolders(dir string) []string {
	folders := []string{dir}
	for _, f := range flickrFolders {
		folders = append(folders, path.Join(dir, f))
	}
	if dir != "" {
		folders = append(append(folders, ""), flickrFolders...)
	}
	return folders
}

// flickrLists are the files that name the splits of the original Flickr8k.
var flickrLists = map[string]string{
	"Flickr_8k.trainImages.txt": Train, "Flickr_8k.devImages.txt": Validation, "Flickr_8k.testImages.txt": Test,
}

// readTokens reads the captions of the original Flickr8k, a line each as
// "1000268201_693b08cb0e.jpg#0<tab>A child .", and the lists of its splits
// beside them. With lists, a picture in none of them is in no split.
func readTokens(s *sourceFile, add func(row) error) error {
	splits, err := readLists(filepath.Join(s.root, filepath.FromSlash(s.dir())))
	if err != nil {
		return err
	}
	lines := bufio.NewScanner(s)
	lines.Buffer(nil, maxLine)
	for n := 1; lines.Scan(); n++ {
		line := strings.TrimRight(lines.Text(), "\r")
		if strings.TrimSpace(line) == "" {
			continue
		}
		name, caption, ok := strings.Cut(line, "\t")
		at := strings.LastIndexByte(name, '#')
		if !ok || at < 1 {
			return fmt.Errorf("line %d: not a name, #, a number, a tab and a caption", n)
		}
		r := row{dir: s.dir(), name: name[:at], nickname: name[:at], captions: tidy([]string{caption})}
		r.split, r.unlisted = splits[r.name], len(splits) > 0 && splits[r.name] == ""
		if err := add(r); err != nil {
			return fmt.Errorf("line %d: %w", n, err)
		}
	}
	return lines.Err()
}

func readLists(dir string) (map[string]string, error) {
	splits := map[string]string{}
	for name, split := range flickrLists {
		data, err := os.ReadFile(filepath.Join(dir, name))
		if errors.Is(err, os.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, err
		}
		for line := range bytes.Lines(data) {
			picture := string(bytes.TrimSpace(line))
			if other, twice := splits[picture]; twice && other != split {
				return nil, fmt.Errorf("%s: %s is in split %s, too", name, picture, other)
			}
			if picture != "" {
				splits[picture] = split
			}
		}
	}
	return splits, nil
}

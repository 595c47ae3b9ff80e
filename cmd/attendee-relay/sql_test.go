package main

import (
	"io/fs"
	"os"
	"path/filepath"
	"testing"
)

// A statement is sent to servers of any encoding, comments included: one character that the encoding lacks is an error.
func TestSQLFilesAreASCII(t *testing.T) {
	t.Parallel()
	files := 0
	err := filepath.WalkDir("../..", func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() || filepath.Ext(path) != ".sql" {
			return err
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		files++
		for at, c := range text {
			if c >= 0x80 || c < ' ' && c != '\n' && c != '\t' {
				t.Errorf("%s: byte %d is 0x%02x", path, at, c)
				break
			}
		}
		return nil
	})
	if err != nil || files < 80 {
		t.Errorf("%d files were read: %v", files, err)
	}
}

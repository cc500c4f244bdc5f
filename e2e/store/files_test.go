package store

import (
	"os"
	"testing"
)

func TestFiles(t *testing.T) {
	dir := t.TempDir()
	testContract(t, Files{dir}, "GODWIT_FILES="+dir)
	names, err := Files{dir}.Names()
	if err != nil || len(names) != 4 {
		t.Errorf("%q, %v", names, err)
	}
}

func TestFilesRestart(t *testing.T) {
	dir := t.TempDir()
	testRestart(t, Files{dir}, "GODWIT_FILES="+dir)
}

// A file that is not whole is an error, and not nothing.
func TestFilesShort(t *testing.T) {
	f := Files{t.TempDir()}
	if err := os.WriteFile(f.path("x"), []byte("short"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, _, err := f.Load(t.Context(), "x"); err == nil {
		t.Error("it was read")
	}
}

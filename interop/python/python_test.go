package python_test

import (
	"os"
	"strings"
	"testing"

	"github.com/ckpt-go/ckpt/interop/python"
)

var tensorflow python.TensorFlow

func TestMain(m *testing.M) {
	code := m.Run()
	if err := tensorflow.Close(); err != nil {
		os.Stderr.WriteString(err.Error() + "\n")
		code = max(code, 1)
	}
	os.Exit(code)
}

func TestTryGivesExceptions(t *testing.T) {
	err := tensorflow.Try(t, "latest", map[string]any{"nonsense": 1}, nil)
	if err == nil || !strings.HasPrefix(err.Error(), "TypeError: ") {
		t.Errorf("got %v, want a TypeError", err)
	}
	err = tensorflow.Try(t, "restore", map[string]any{"prefix": t.TempDir() + "/absent", "tree": []any{}}, nil)
	if err == nil || !strings.HasPrefix(err.Error(), "NotFoundError: ") {
		t.Errorf("got %v, want a NotFoundError", err)
	}
	// The server lives on after both.
	var latest *string
	tensorflow.Call(t, "latest", map[string]any{"directory": t.TempDir()}, &latest)
	if latest != nil {
		t.Errorf("got %q, want none", *latest)
	}
}

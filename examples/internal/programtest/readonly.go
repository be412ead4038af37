package programtest

import (
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// ReadOnly takes the right to write away from a folder and what is in it, and
// gives a command that runs the program there as a user whom that stops: root
// may write anyhow. The test is skipped where there is no such user.
func ReadOnly(t *testing.T, folder, binary string) (command []string) {
	t.Helper()
	program := filepath.Join(folder, "program.exe") // where every user can reach it
	b, err := os.ReadFile(binary)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(program, b, 0o777); err != nil {
		t.Fatal(err)
	}
	command = []string{program}
	if os.Geteuid() <= 0 { // root, or Windows
		if _, err := exec.LookPath("setpriv"); err != nil {
			t.Skip("no setpriv here, and rights do not stop this user")
		}
		command = []string{"setpriv", "--reuid", "65534", "--clear-groups", "./program.exe"}
	}
	chmod := func(folders, files fs.FileMode) {
		err := filepath.WalkDir(folder, func(name string, entry fs.DirEntry, err error) error {
			switch {
			case err != nil:
				return err
			case entry.IsDir():
				return os.Chmod(name, folders)
			case name != program:
				return os.Chmod(name, files)
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	chmod(0o555, 0o444)
	t.Cleanup(func() { chmod(0o777, 0o666) })
	return command
}

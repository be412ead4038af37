package local

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
)

// folder is what the bucket needs of *os.Root, which keeps every path inside
// the folder; plain is the same without that care.
type folder interface {
	OpenFile(name string, flag int, perm fs.FileMode) (*os.File, error)
	Mkdir(name string, perm fs.FileMode) error
	Rename(oldName, newName string) error
	Link(oldName, newName string) error
	Remove(name string) error
	Stat(name string) (fs.FileInfo, error)
	Lstat(name string) (fs.FileInfo, error)
	Close() error
}

// plain is a folder that follows every link.
type plain string

func (p plain) join(name string) string { return filepath.Join(string(p), name) }

func (p plain) OpenFile(name string, flag int, perm fs.FileMode) (*os.File, error) {
	return os.OpenFile(p.join(name), flag, perm)
}
func (p plain) Mkdir(name string, perm fs.FileMode) error { return os.Mkdir(p.join(name), perm) }
func (p plain) Rename(oldName, newName string) error {
	return os.Rename(p.join(oldName), p.join(newName))
}
func (p plain) Link(oldName, newName string) error     { return os.Link(p.join(oldName), p.join(newName)) }
func (p plain) Remove(name string) error               { return os.Remove(p.join(name)) }
func (p plain) Stat(name string) (fs.FileInfo, error)  { return os.Stat(p.join(name)) }
func (p plain) Lstat(name string) (fs.FileInfo, error) { return os.Lstat(p.join(name)) }
func (p plain) Close() error                           { return nil }

// folder opens the bucket's folder for one operation. Keeping it open would
// go on with a folder that was removed or replaced meanwhile.
func (b *Bucket) folder(op, name string) (folder, error) {
	if b.follow {
		info, err := os.Stat(b.path)
		if err == nil && !info.IsDir() {
			err = errNotFolder
		}
		if err != nil {
			return nil, b.fail(op, name, err)
		}
		return plain(b.path), nil
	}
	root, err := os.OpenRoot(b.path)
	if err != nil {
		return nil, b.fail(op, name, err)
	}
	return root, nil
}

// make opens the bucket's folder and makes it and the folders name lies in
// when they are missing. Each is durable when make returns.
func (b *Bucket) make(op, name string) (folder, error) {
	dir, err := b.folder(op, name)
	if errors.Is(err, fs.ErrNotExist) {
		if err := b.makeRoot(op); err != nil {
			return nil, err
		}
		dir, err = b.folder(op, name)
	}
	if err != nil {
		return nil, err
	}
	if err := b.makeInside(dir, op, path.Dir(name)); err != nil {
		dir.Close()
		return nil, err
	}
	return dir, nil
}

// makeRoot makes the folder of the bucket and those above it.
func (b *Bucket) makeRoot(op string) error {
	var missing []string
	at := filepath.Clean(b.path)
	for {
		_, err := os.Stat(at)
		if err == nil {
			break
		}
		up := filepath.Dir(at)
		if !errors.Is(err, fs.ErrNotExist) || up == at {
			return b.fail(op, "", err)
		}
		missing = append(missing, at)
		at = up
	}
	for i := len(missing) - 1; i >= 0; i-- {
		above := plain(filepath.Dir(missing[i]))
		if err := b.makeFolder(above, op, filepath.Base(missing[i]), "."); err != nil {
			return err
		}
	}
	return nil
}

// makeInside makes the folder name of the bucket and those above it.
func (b *Bucket) makeInside(dir folder, op, name string) error {
	var missing []string
	for name != "." {
		if _, err := dir.Stat(name); err == nil {
			break
		} else if !errors.Is(err, fs.ErrNotExist) {
			return b.fail(op, name, err)
		}
		missing = append(missing, name)
		name = path.Dir(name)
	}
	for i := len(missing) - 1; i >= 0; i-- {
		if err := b.makeFolder(dir, op, missing[i], path.Dir(missing[i])); err != nil {
			return err
		}
	}
	return nil
}

// makeFolder makes one folder and syncs the one above it. A folder that could
// not be made durable is removed again, so that the next try syncs.
func (b *Bucket) makeFolder(dir folder, op, name, above string) error {
	made := dir.Mkdir(name, 0o777)
	if made != nil && !errors.Is(made, fs.ErrExist) {
		return b.fail(op, "", fmt.Errorf("making folder %s: %w", name, cause(made)))
	}
	// If somebody else made it meanwhile, it is perhaps not synced yet.
	err := b.syncFolder(dir, above)
	if err != nil && made == nil {
		dir.Remove(name)
	}
	return err
}

// syncFolder makes the names in a folder durable. A file system that cannot
// do that is remembered for Weak and is no error.
func (b *Bucket) syncFolder(dir folder, name string) error {
	f, err := dir.OpenFile(name, os.O_RDONLY, 0)
	if err != nil {
		return b.fail("sync", name, err)
	}
	defer f.Close()
	err = f.Sync()
	if err == nil {
		return nil
	}
	err = b.fail("sync", name, err)
	if !cannotSync(err) {
		return err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.weak == nil {
		b.weak = err
	}
	return nil
}

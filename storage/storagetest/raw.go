package storagetest

import "path"

// Raw is the file system below a Crashable as a program uses it that syncs
// nothing: files are made under their own names and written in place. Each method
// is one step, or two. What it leaves after a crash is found by the Crashable that
// Crash returns.
type Raw struct{ crashable *Crashable }

// Raw returns the file system below.
func (c *Crashable) Raw() Raw { return Raw{c} }

// Write makes or truncates a file and writes to it.
func (r Raw) Write(name string, data []byte) error {
	c := r.crashable
	c.mu.Lock()
	defer c.mu.Unlock()
	file := new(inode)
	if err := c.change(change{folder: path.Dir(name), name: name, file: file}, "create %s", name); err != nil {
		return err
	}
	if err := c.step("write %s", name); err != nil {
		return err
	}
	file.data = put(file.data, data, 0)
	file.writes = append(file.writes, [2]int{0, len(data)})
	return nil
}

// Rename gives a file another name, and takes it from the one that had it.
func (r Raw) Rename(name, newName string) error {
	c := r.crashable
	c.mu.Lock()
	defer c.mu.Unlock()
	file, err := c.exists("rename", name)
	if err != nil {
		return err
	}
	return c.change(change{folder: path.Dir(newName), gone: name, name: newName, file: file}, "rename %s %s", name, newName)
}

// Remove removes a file.
func (r Raw) Remove(name string) error {
	c := r.crashable
	c.mu.Lock()
	defer c.mu.Unlock()
	if _, err := c.exists("unlink", name); err != nil {
		return err
	}
	return c.change(change{folder: path.Dir(name), gone: name}, "unlink %s", name)
}

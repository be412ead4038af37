// Package names holds the rules for file names that all buckets share.
package names

import (
	"errors"
	"io/fs"
	"strings"
)

var (
	errEmpty   = errors.New("a name must not be empty")
	errElement = errors.New(`a name must be relative and must not hold empty, "." or ".." elements`)
	errNul     = errors.New("a name must not hold a NUL byte")
)

// invalid is a reason that is also fs.ErrInvalid.
type invalid struct{ reason error }

func (e invalid) Error() string        { return e.reason.Error() }
func (e invalid) Is(target error) bool { return target == fs.ErrInvalid }

// Invalid returns an error for name that is fs.ErrInvalid and gives reason.
func Invalid(op, name string, reason error) error {
	return &fs.PathError{Op: op, Path: name, Err: invalid{reason}}
}

// Check returns an fs.ErrInvalid that names op unless name is one a file of a
// bucket may have: elements joined by single slashes, none of them empty, "."
// or "..", and no NUL byte. Names need not be UTF-8.
func Check(op, name string) error {
	if name == "" {
		return Invalid(op, name, errEmpty)
	}
	if strings.IndexByte(name, 0) >= 0 {
		return Invalid(op, name, errNul)
	}
	for element := range strings.SplitSeq(name, "/") {
		if element == "" || element == "." || element == ".." {
			return Invalid(op, name, errElement)
		}
	}
	return nil
}

// Folder returns the folder a List of prefix looks in, "." for the bucket's
// own, and what names in it must begin with. The folder must be a valid name.
func Folder(prefix string) (dir, base string, err error) {
	slash := strings.LastIndexByte(prefix, '/')
	if slash < 0 {
		return ".", prefix, nil
	}
	if err := Check("list", prefix[:slash]); err != nil {
		return "", "", err
	}
	return prefix[:slash], prefix[slash+1:], nil
}

// Join puts a folder that Folder returned before the name of a file in it.
func Join(dir, base string) string {
	if dir == "." {
		return base
	}
	return dir + "/" + base
}

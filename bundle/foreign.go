package bundle

import (
	"bytes"
	"errors"
	"fmt"
	"io"

	"github.com/ckpt-go/ckpt/internal/fault"
	"github.com/ckpt-go/ckpt/storage"
)

// foreign lists what is found in place of an index, by its first bytes.
var foreign = []struct{ magic, what string }{
	{"version https://git-lfs", "a Git LFS pointer: fetch the file itself with git lfs pull"},
	{"<!DOCTYPE", "an HTML page: a download that went wrong"},
	{"<!doctype", "an HTML page: a download that went wrong"},
	{"<html", "an HTML page: a download that went wrong"},
	{"<HTML", "an HTML page: a download that went wrong"},
	{"<?xml", "an XML document: a download that went wrong"},
	{"\x89HDF\r\n\x1a\n", "an HDF5 file, such as Keras weights in .h5"},
	{"PK\x03\x04", "a zip archive, such as a .keras or .npz file"},
	{"\x1f\x8b", "gzip-compressed"},
}

// explain adds to the error of a file that is no table what it looks like.
func explain(err error, f storage.File) error {
	var c *CorruptError
	if !errors.As(err, &c) || c.Kind != fault.KindFormat && c.Kind != fault.KindTruncated {
		return err
	}
	head := make([]byte, min(f.Size(), 64))
	if n, readErr := f.ReadAt(head, 0); readErr != nil && readErr != io.EOF || n < len(head) {
		return err
	}
	head = bytes.TrimLeft(head, " \t\r\n\ufeff")
	for _, known := range foreign {
		if bytes.HasPrefix(head, []byte(known.magic)) {
			explained := *c
			explained.Kind = fault.KindFormat
			explained.Err = fmt.Errorf("%w: the file is %s", c.Err, known.what)
			return &explained
		}
	}
	return err
}

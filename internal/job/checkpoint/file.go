// SPDX-License-Identifier: Apache-2.0

package checkpoint

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/note"

	"github.com/countersign/countersign/internal/fault"
	"github.com/countersign/countersign/internal/secret"
)

// A file holds the checkpoints of one service one after the other, each with an empty line after it.
const (
	keyFile    = "key.pub"
	filePrefix = "service-"
	fileSuffix = ".txt"
	// maxNote bounds the bytes of a checkpoint; ours have about 220.
	maxNote = 1024
)

func fileOf(folder string, service uint32) string {
	return filepath.Join(folder, filePrefix+strconv.FormatUint(uint64(service), 10)+fileSuffix)
}

// serviceOf is the inverse of fileOf.
func serviceOf(path string) (uint32, bool) {
	name, ok := strings.CutPrefix(filepath.Base(path), filePrefix)
	name, ok2 := strings.CutSuffix(name, fileSuffix)
	n, err := strconv.ParseUint(name, 10, 32)
	return uint32(n), ok && ok2 && err == nil && strconv.FormatUint(n, 10) == name
}

// reader reads the checkpoints of a file.
type reader struct {
	*bufio.Reader
	at int64 // where the next one begins
}

var (
	errUnfinished = errors.New("it ends in the middle")
	errTooLong    = errors.New("it is too long")
)

// next returns the next signed checkpoint as it stands. io.EOF: there is none. errUnfinished: the file ends before it does.
func (r *reader) next() ([]byte, error) {
	var b []byte
	signed := false
	for {
		line, err := r.ReadSlice('\n')
		b = append(b, line...)
		switch {
		case err == io.EOF && len(b) == 0:
			return nil, io.EOF
		case err == io.EOF:
			return nil, errUnfinished
		case err == bufio.ErrBufferFull || err == nil && len(b) > maxNote:
			return nil, errTooLong
		case err != nil:
			return nil, err
		case signed && len(line) == 1:
			r.at += int64(len(b))
			return b[:len(b)-1], nil
		}
		signed = bytes.HasPrefix(line, []byte("— "))
	}
}

// last reads the end of a file: the last whole checkpoint in it, if there is any, and where it ends.
func last(f *os.File, key note.Verifier, service uint32) (p point, end int64, err error) {
	info, err := f.Stat()
	if err != nil {
		return point{}, 0, err
	}
	from := max(0, info.Size()-4*maxNote)
	r := &reader{Reader: bufio.NewReaderSize(io.NewSectionReader(f, from, info.Size()-from), 2*maxNote), at: from}
	var newest []byte
	for skip := from > 0; ; skip = false {
		b, err := r.next()
		switch {
		case err == io.EOF || err == errUnfinished:
			if newest == nil {
				if from > 0 {
					return point{}, 0, errors.New("there is no checkpoint at its end")
				}
				return point{}, 0, nil
			}
			p, err = read(key, service, newest)
			return p, r.at, err
		case err != nil:
			return point{}, 0, err
		case !skip: // the first may have begun earlier
			newest = b
		}
	}
}

// add appends a checkpoint to its service's file. When it returns, the checkpoint is on the disk.
func add(folder string, key *Key, service uint32, p point) error {
	signed, err := sign(key, service, p)
	if err != nil {
		return err
	}
	path := fileOf(folder, service)
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_APPEND, 0o640)
	if err != nil {
		return err
	}
	err = appendTo(f, key, service, append(signed, '\n'))
	if e := f.Close(); err == nil {
		err = e
	}
	if err == nil {
		err = secret.SyncFolder(folder)
	}
	return err
}

func appendTo(f *os.File, key note.Verifier, service uint32, b []byte) error {
	_, end, err := last(f, key, service)
	if err != nil {
		return err
	}
	info, err := f.Stat()
	if err != nil {
		return err
	}
	if info.Size() > end { // what a full disk or a lost power supply left: it never was a checkpoint
		if err := f.Truncate(end); err != nil {
			return err
		}
	}
	if _, err := f.Write(b); err != nil {
		return err
	}
	return f.Sync()
}

// prepareFolder makes the folder if it isn't there, and writes the public key into it, or compares it with the one that is there.
func prepareFolder(folder, public string) error {
	if err := os.MkdirAll(folder, 0o750); err != nil {
		return errFolder(folder, err)
	}
	there, err := folderKey(folder)
	switch {
	case err != nil:
		return err
	case there == public:
		return nil
	case there != "":
		return fault.New(fault.Conflict, "wrong_log_checkpoints",
			fmt.Sprintf("The folder %s has checkpoints of another deployment: their key is %s, and ours is %s. Give each deployment a folder of its own.", folder, there, public)).WithField("log-checkpoints")
	}
	// By a name of its own first, so that nobody finds half a key.
	f, err := os.CreateTemp(folder, keyFile+".*")
	if err != nil {
		return errFolder(folder, err)
	}
	_, err = io.WriteString(f, public+"\n")
	err = errors.Join(err, f.Chmod(0o644), f.Sync(), f.Close())
	if err == nil {
		err = os.Rename(f.Name(), filepath.Join(folder, keyFile))
	}
	if err == nil {
		err = secret.SyncFolder(folder)
	}
	if err != nil {
		return errFolder(folder, errors.Join(err, os.Remove(f.Name())))
	}
	return nil
}

// folderKey is the public key that stands in a folder; empty if there is none.
func folderKey(folder string) (string, error) {
	b, err := os.ReadFile(filepath.Join(folder, keyFile))
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	if err != nil {
		return "", errFolder(folder, err)
	}
	return strings.TrimSpace(string(b)), nil
}

func errFolder(folder string, cause error) *fault.Error {
	return fault.New(fault.Unavailable, "log_checkpoints",
		"The folder of checkpoints "+folder+" can't be used. Look at the path, its owner and the disk.").WithField("log-checkpoints").WithCause(cause)
}

// SPDX-License-Identifier: Apache-2.0

package secret

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"

	"github.com/countersign/countersign/internal/fault"
)

const maxMasterFile = 4096

// CreateMasterFile makes a new master key and writes its text form to path: a new file that only
// its owner can read. When it returns, file and folder are on the disk, so a first row may be
// written. It never overwrites: a file that is there is Conflict, also when two processes race.
func CreateMasterFile(path string) (*LocalMaster, error) {
	m, err := GenerateMaster(rand.Reader)
	if err != nil {
		return nil, err
	}
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if errors.Is(err, fs.ErrExist) {
		return nil, fault.New(fault.Conflict, "master_key_exists",
			"There is a file at "+path+" already. It may be the only copy of a master key, so it's never overwritten. Choose another path.").WithCause(err)
	}
	if err != nil {
		return nil, errMasterFile("can't be written", path, err)
	}
	if err := writeMaster(f, m); err != nil {
		_ = os.Remove(path) // ours: it was made a moment ago and is of no use to anybody
		return nil, errMasterFile("can't be written", path, err)
	}
	return m, nil
}

func writeMaster(f *os.File, m *LocalMaster) error {
	_, err := io.WriteString(f, m.text.Reveal()+"\n")
	if err == nil {
		err = f.Sync()
	}
	if closeErr := f.Close(); err == nil {
		err = closeErr
	}
	if err != nil {
		return err
	}
	return SyncFolder(filepath.Dir(f.Name()))
}

// SyncFolder makes the name of a new file in a folder durable. Windows has no such call and needs none.
func SyncFolder(path string) error {
	if runtime.GOOS == "windows" {
		return nil
	}
	d, err := os.Open(path)
	if err != nil {
		return err
	}
	err = d.Sync()
	if closeErr := d.Close(); err == nil {
		err = closeErr
	}
	return err
}

// LoadMasterFile reads the master key at path. A file that everybody on the machine can read, or
// that others can write, is refused; one that its group can read (as container platforms mount
// secrets) is accepted with a warning for the operator, else "".
func LoadMasterFile(path string) (m *LocalMaster, warning string, err error) {
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, "", fault.New(fault.NotFound, "master_key_missing",
			"There is no master key at "+path+". "+masterFileHelp).WithCause(err)
	}
	if err != nil {
		return nil, "", errMasterFile("can't be read", path, err)
	}
	defer f.Close() //nolint:errcheck // read only
	if warning, err = checkMasterMode(f, path); err != nil {
		return nil, "", err
	}
	text, err := io.ReadAll(io.LimitReader(f, maxMasterFile))
	if err != nil {
		return nil, "", errMasterFile("can't be read", path, err)
	}
	if m, err = ParseMaster(string(text)); err != nil {
		e := fault.As(err)
		return nil, "", fault.New(e.Kind, e.Code, "The file "+path+" doesn't hold a master key. "+e.Message)
	}
	return m, warning, nil
}

func checkMasterMode(f *os.File, path string) (warning string, err error) {
	info, err := f.Stat()
	if err != nil {
		return "", errMasterFile("can't be read", path, err)
	}
	if !info.Mode().IsRegular() {
		return "", errMasterFile("is not a file", path, nil)
	}
	mode := info.Mode().Perm()
	switch {
	case runtime.GOOS == "windows": // its modes say nothing about who may read
		return "", nil
	case mode&0o027 != 0:
		return "", fault.New(fault.Forbidden, "master_key_exposed", fmt.Sprintf(
			"Others on this machine can read or change the master key at %s (mode %04o). Close it with: chmod 600 %s", path, mode, path))
	case mode&0o040 != 0:
		return fmt.Sprintf("the group of %s can read the master key (mode %04o)", path, mode), nil
	}
	return "", nil
}

func errMasterFile(what, path string, cause error) *fault.Error {
	return fault.New(fault.Unavailable, "master_key_file",
		"The master key at "+path+" "+what+". Look at the path, its owner and the disk.").WithCause(cause)
}

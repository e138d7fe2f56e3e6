package embedded

import (
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/posthouse-mail/posthouse/directory"
	"github.com/posthouse-mail/posthouse/directory/directorytest"
)

func TestDirectory(t *testing.T) {
	directorytest.Run(t, func(t *testing.T) directory.Directory {
		d, err := Open(filepath.Join(t.TempDir(), "directory"))
		require.NoError(t, err)
		t.Cleanup(func() { require.NoError(t, d.Close()) })
		return d
	})
}

package pop3

import (
	"net"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/posthouse-mail/posthouse/internal/dialogue"
)

func TestDialogues(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txt")
	require.NoError(t, err)
	require.NotEmpty(t, files)
	for _, f := range files {
		t.Run(filepath.Base(f), func(t *testing.T) {
			s := start(t, threeMessages...)
			nc, err := net.Dial("tcp", s.address)
			require.NoError(t, err)
			dialogue.Run(t, nc, f)
		})
	}
}

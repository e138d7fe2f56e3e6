package imap

import (
	"net"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/posthouse-mail/posthouse/internal/dialogue"
)

// TestDialogues plays every dialogue against a server of its own whose user
// alice has three messages.
func TestDialogues(t *testing.T) {
	paths, err := filepath.Glob("testdata/*.txt")
	require.NoError(t, err)
	require.NotEmpty(t, paths)
	for _, path := range paths {
		t.Run(strings.TrimSuffix(filepath.Base(path), ".txt"), func(t *testing.T) {
			s, addr := newServer(t, func(s *Server) {
				s.ID = map[string]string{"name": "Posthouse"}
				if strings.HasPrefix(filepath.Base(path), "tls") {
					s.PlainAuth = nil
				}
			})
			deliver(t, s.Store, plainMessage)
			deliver(t, s.Store, mixedMessage)
			deliver(t, s.Store, "Subject: third\r\n\r\nlast one\r\n")
			conn, err := net.Dial("tcp", addr)
			require.NoError(t, err)
			dialogue.Run(t, conn, path)
		})
	}
}

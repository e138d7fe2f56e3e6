package imap

import (
	"context"
	"encoding/base64"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/posthouse-mail/posthouse/auth"
	"github.com/posthouse-mail/posthouse/storage"
)

// TestNobodyLogsInAsPublicFolders asks a server whose authenticator takes
// everybody at his word.
func TestNobodyLogsInAsPublicFolders(t *testing.T) {
	s, addr := newServer(t, func(s *Server) {
		s.Auth = auth.AuthenticatorFunc(func(_ context.Context, c auth.Credentials) (auth.Identity, error) {
			return auth.Identity{User: c.User}, nil
		})
	})
	public := storage.PublicAccount("example.test")
	folders, err := s.Store.Account(t.Context(), public)
	require.NoError(t, err)
	require.NoError(t, folders.Create(t.Context(), "Secret", storage.NewMailbox{}))
	for _, command := range []string{
		"LOGIN @example.test x", `LOGIN "@example.test" "x"`,
		"AUTHENTICATE PLAIN " + base64.StdEncoding.EncodeToString([]byte("\x00"+public+"\x00x")),
	} {
		c := dial(t, addr)
		c.fails(command, "NO ")
		c.fails(`SELECT Secret`, "BAD Command not allowed in this state")
	}
	login(t, addr).fails("SELECT Secret", "NO [NONEXISTENT]")
}

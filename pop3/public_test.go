package pop3

import (
	"context"
	"encoding/base64"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/posthouse-mail/posthouse/auth"
	"github.com/posthouse-mail/posthouse/message"
	"github.com/posthouse-mail/posthouse/storage"
)

// TestNobodyLogsInAsPublicFolders asks a server whose authenticator takes
// everybody at his word.
func TestNobodyLogsInAsPublicFolders(t *testing.T) {
	s := startWith(t, func(s *Server) {
		s.Auth = auth.AuthenticatorFunc(func(_ context.Context, c auth.Credentials) (auth.Identity, error) {
			return auth.Identity{User: c.User}, nil
		})
	})
	public := storage.PublicAccount("example.test")
	folders, err := s.store.Account(t.Context(), public)
	require.NoError(t, err)
	require.NoError(t, folders.Create(t.Context(), storage.Inbox, storage.NewMailbox{}))
	c := s.dial(t)
	c.ok("USER " + public)
	require.True(t, strings.HasPrefix(c.ask("PASS x"), "-ERR "))
	require.True(t, strings.HasPrefix(c.ask("AUTH PLAIN "+base64.StdEncoding.EncodeToString([]byte("\x00"+public+"\x00x"))), "-ERR "))
	require.True(t, strings.HasPrefix(c.ask("STAT"), "-ERR "))
}

func TestOnlyInboxIsTheMaildrop(t *testing.T) {
	s := start(t, threeMessages...)
	account, err := s.store.Account(t.Context(), "alice")
	require.NoError(t, err)
	for name, kind := range map[string]storage.Kind{"INBOX/below": storage.Mail, "Plan": storage.Calendar, "Notes": storage.Notes} {
		require.NoError(t, account.Create(t.Context(), name, storage.NewMailbox{Kind: kind}))
		box, err := account.Mailbox(t.Context(), name)
		require.NoError(t, err)
		_, err = box.Append(t.Context(), storage.NewMessage{Body: message.FromBytes([]byte("Subject: x\r\n\r\n"))})
		require.NoError(t, err)
	}
	require.True(t, strings.HasPrefix(s.login(t).ask("STAT"), "+OK 3 "))
}

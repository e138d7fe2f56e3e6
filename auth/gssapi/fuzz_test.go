package gssapi_test

import (
	"errors"
	"testing"

	"github.com/jcmturner/gokrb5/v8/crypto"
	"github.com/jcmturner/gokrb5/v8/messages"
	"github.com/jcmturner/gokrb5/v8/types"
	"github.com/stretchr/testify/require"

	"github.com/posthouse-mail/posthouse/auth"
	"github.com/posthouse-mail/posthouse/auth/gssapi"
)

// FuzzToken proves that a token of any kind is refused, and that nothing panics.
func FuzzToken(f *testing.F) {
	c := imapCentre(f)
	a := server(f, c, gssapi.Options{})
	for _, flags := range []uint32{integ, mutual | integ} {
		i := c.client("alice")
		i.flags = flags
		f.Add(i.token(f), i.wrap(f, []byte(none), 3))
	}
	f.Add([]byte{}, []byte{})
	f.Fuzz(func(t *testing.T, token, wrapped []byte) {
		e, err := auth.NewExchange(t.Context(), "GSSAPI", a, auth.Policy{}, auth.Credentials{Service: "imap"})
		require.NoError(t, err)
		for _, response := range [][]byte{token, {}, wrapped} {
			_, done, err := e.Next(response)
			require.False(t, done, "nobody has a ticket that is good twice, nor the key of the reply")
			if err != nil {
				require.True(t, errors.Is(err, auth.ErrBadCredentials) || errors.Is(err, auth.ErrUnavailable), err)
				return
			}
		}
	})
}

// FuzzAuthenticator proves the same of what somebody encrypts who has a ticket.
func FuzzAuthenticator(f *testing.F) {
	c := imapCentre(f)
	a := server(f, c, gssapi.Options{})
	i := c.client("alice")
	i.change = func(r *messages.APReq) {
		plain, err := crypto.DecryptEncPart(r.EncryptedAuthenticator, i.session, 11)
		require.NoError(f, err)
		f.Add(plain)
	}
	_ = i.token(f)
	ticket := i.ticket(f)
	session := i.session
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, plain []byte) {
		sealed, err := crypto.GetEncryptedData(plain, session, 11, 0)
		require.NoError(t, err)
		request := messages.APReq{PVNO: 5, MsgType: 14, APOptions: types.NewKrbFlags(), Ticket: ticket, EncryptedAuthenticator: sealed}
		message, err := request.Marshal()
		require.NoError(t, err)
		e, challenge, err := begin(t, a, framed(t, append([]byte{1, 0}, message...)))
		require.Zero(t, e.Identity())
		if err == nil {
			require.NotEmpty(t, challenge)
		} else {
			require.True(t, errors.Is(err, auth.ErrBadCredentials) || errors.Is(err, auth.ErrUnavailable), err)
		}
	})
}

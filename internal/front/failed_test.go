package front

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/posthouse-mail/posthouse/auth"
)

func TestAnOutageIsNotLoggedAsAGuess(t *testing.T) {
	for _, of := range []struct {
		err  error
		want string
	}{
		{auth.ErrBadCredentials, "authentication failed"},
		{auth.ErrDisabled, "authentication failed"},
		{fmt.Errorf("%w: 5 seconds", auth.ErrTooMany), "authentication failed"},
		{fmt.Errorf("%w: dial tcp 192.0.2.1:636", auth.ErrUnavailable), "login not possible"},
		{auth.ErrNeedsTLS, "login not possible"},
		{errors.New("what nobody has foreseen"), "login not possible"},
	} {
		var log bytes.Buffer
		LogFailed(context.Background(), slog.New(slog.NewTextHandler(&log, nil)), Login{
			Service: "imap", Remote: "192.0.2.7", User: "alice\nmsg=x" + strings.Repeat("x", 1<<10), Session: "s1",
		}, of.err)
		require.Regexp(t, `^\S+ level=WARN msg="`+of.want+`" service=imap remote=192.0.2.7 user="alice\\nmsg=xx{200,300}" session=s1 reason=.*\n$`, log.String())
		require.Equal(t, of.want == "authentication failed", IsGuess(of.err))
	}
}

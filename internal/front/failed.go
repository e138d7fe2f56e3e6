package front

import (
	"context"
	"errors"
	"log/slog"

	"github.com/posthouse-mail/posthouse/auth"
)

// maxLogged bounds what is logged of the name that a client gives, in octets.
const maxLogged = 256

// Login is what the log tells of an attempt to log in.
type Login struct {
	Service string // as auth.Credentials.Service
	Remote  string // the client's address
	User    string // as the client names him
	Session string
	Told    *Told // by a front end; nil: by none
}

// IsGuess reports whether a login came to nothing by what the client has shown:
// wrong credentials, those of a disabled account, or too many such. What fails
// in a directory, a map or a back end is none, and slows nobody down.
func IsGuess(err error) bool {
	return errors.Is(err, auth.ErrBadCredentials) || errors.Is(err, auth.ErrDisabled) || errors.Is(err, auth.ErrTooMany)
}

// LogFailed writes why a login came to nothing. Tools such as fail2ban look for
// the line of a guess: its message and the order of its attributes stay as they
// are, the same in all protocols. A login that could not be decided has another
// message, so that an outage bans nobody.
func LogFailed(ctx context.Context, l *slog.Logger, login Login, err error) {
	message := "login not possible"
	if IsGuess(err) {
		message = "authentication failed"
	}
	l.LogAttrs(ctx, slog.LevelWarn, message,
		slog.String("service", login.Service), slog.String("remote", login.Remote), slog.String("user", login.User[:min(len(login.User), maxLogged)]),
		slog.String("session", login.Session), slog.String("reason", err.Error()), login.Told.Attr())
}

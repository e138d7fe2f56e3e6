package oauth

import (
	"errors"
	"fmt"

	"github.com/posthouse-mail/posthouse/auth"
)

// ErrConfig is what every error of NewJWT and NewIntrospection is.
var ErrConfig = errors.New("unusable configuration of tokens")

func configError(format string, args ...any) error {
	return fmt.Errorf("%w: "+format, append([]any{ErrConfig}, args...)...)
}

// bad says why a token proves nothing, for the log. It holds nothing of the token.
func bad(why string) error { return fmt.Errorf("%w: %s", auth.ErrBadCredentials, why) }

// unavailable makes an error one of kind auth.ErrUnavailable.
func unavailable(what string, err error) error {
	return fmt.Errorf("%w: %s: %w", auth.ErrUnavailable, what, err)
}

package managesieve

import (
	"fmt"
	"net/url"
	"strconv"

	"github.com/posthouse-mail/posthouse/mapping"
	"github.com/posthouse-mail/posthouse/proxy"
)

// referred is the error of a back end that sends the user to another, by a URL
// of that (RFC 5804 §1.3, §3): sieve://[user@]host[:port].
func referred(text string) error {
	u, err := url.Parse(text)
	if err != nil || u.Scheme != "sieve" || u.Hostname() == "" {
		return fmt.Errorf("%w: it refers to what is no server", proxy.ErrUnfit)
	}
	to := mapping.Route{Host: u.Hostname(), User: u.User.Username()}
	if port := u.Port(); port != "" {
		if to.Port, err = strconv.Atoi(port); err != nil {
			return fmt.Errorf("%w: it refers to what is no port", proxy.ErrUnfit)
		}
	}
	return &proxy.Referral{To: to}
}

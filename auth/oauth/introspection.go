package oauth

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"time"

	"github.com/posthouse-mail/posthouse/auth"
	"github.com/posthouse-mail/posthouse/auth/internal/account"
)

// Introspection says how an issuer is asked about tokens (RFC 7662). A zero
// field means what its comment says.
type Introspection struct {
	URL          string // of the introspection endpoint. Required
	ClientID     string // who we are there. Required
	ClientSecret string `json:"-"`
	Method       ClientMethod

	// Remember is how long a good answer is good for the same token, and so
	// how long a token lasts that the issuer has revoked; never after its exp.
	// 0: one minute; negative: each login asks. Others are not remembered.
	Remember  time.Duration
	Size      int               // answers that are remembered; 0: 10,000, of some 300 octets each
	Timeout   time.Duration     // of a request; 0: 4 seconds
	Transport http.RoundTripper // nil: TLS with the system's roots, by the environment's proxy
}

// ClientMethod is how we show the issuer who we are (RFC 6749 §2.3.1).
type ClientMethod int

// The methods.
const (
	SecretBasic ClientMethod = iota // client_secret_basic
	SecretPost                      // client_secret_post
)

// String keeps the secret out of logs.
func (i Introspection) String() string { return "introspection at " + i.URL }

// GoString is String, for the verb %#v.
func (i Introspection) GoString() string { return i.String() }

// LogValue keeps the secret out of structured logs.
func (i Introspection) LogValue() slog.Value { return slog.StringValue(i.String()) }

// introspection asks about tokens.
type introspection struct {
	Introspection
	url     *url.URL
	rules   *Rules
	http    *client
	answers *answers
}

// NewIntrospection returns an Authenticator for tokens that the issuer is
// asked about. ErrConfig.
func NewIntrospection(i Introspection, r Rules) (*Authenticator, error) {
	r = r.withDefaults()
	at, err := checkURL(i.URL)
	if err := errors.Join(err, r.checkConfig()); err != nil {
		return nil, err
	}
	if r.Issuer != "" {
		if err := checkIssuer(r.Issuer); err != nil {
			return nil, err
		}
	}
	if i.ClientID == "" {
		return nil, configError("introspection needs a client ID") // RFC 7662 §2.1
	}
	if len(r.Audiences) == 0 && len(r.Scopes) == 0 {
		return nil, configError("no audience and no scope: every token would do")
	}
	a := &Authenticator{rules: r, accounts: account.Resolver{Accounts: r.Accounts}, http: newClient(i.Transport, i.Timeout)}
	a.source = &introspection{
		Introspection: i, url: at, rules: &a.rules, http: a.http,
		answers: newAnswers(orDefault(i.Remember, time.Minute), orDefault(i.Size, 10_000)),
	}
	return a, nil
}

// login returns whose a token is, as the issuer says or said a moment ago.
func (i *introspection) login(ctx context.Context, token string) (string, error) {
	d := i.answers.digest(token)
	if name, ok := i.answers.get(d, time.Now()); ok {
		return name, nil
	}
	text, err := i.ask(ctx, token)
	if err != nil {
		return "", err
	}
	name, exp, err := i.subject(text, time.Now())
	if err != nil {
		return "", err
	}
	i.answers.put(d, answer{name, exp}, time.Now())
	return name, nil
}

// ask returns the issuer's answer (RFC 7662 §2.1).
func (i *introspection) ask(ctx context.Context, token string) ([]byte, error) {
	form := url.Values{"token": {token}, "token_type_hint": {"access_token"}}
	header := http.Header{}
	if i.Method == SecretPost {
		form.Set("client_id", i.ClientID)
		form.Set("client_secret", i.ClientSecret)
	} else {
		pair := url.QueryEscape(i.ClientID) + ":" + url.QueryEscape(i.ClientSecret)
		header.Set("Authorization", "Basic "+base64.StdEncoding.EncodeToString([]byte(pair)))
	}
	status, text, err := i.http.post(ctx, i.url, form, header)
	switch {
	case err != nil:
		return nil, unavailable("introspection", err)
	case status == http.StatusUnauthorized, status == http.StatusForbidden:
		// Our own credentials, not the token's: that is answered with 200.
		return nil, fmt.Errorf("%w: introspection: the issuer refuses the client %q (status %d)", auth.ErrUnavailable, i.ClientID, status)
	case status != http.StatusOK:
		return nil, fmt.Errorf("%w: introspection: status %d", auth.ErrUnavailable, status)
	}
	return text, nil
}

// subject returns whose a token with this answer is, and when it expires; the
// zero time: nobody knows.
func (i *introspection) subject(text []byte, now time.Time) (name string, exp time.Time, err error) {
	c, err := parseClaims(text)
	if err != nil {
		return "", exp, unavailable("introspection", err)
	}
	switch active := string(c["active"]); active {
	case "true":
	case "false":
		return "", exp, bad("the issuer says that it is not active")
	default:
		return "", exp, fmt.Errorf("%w: introspection: the answer does not say whether it is active", auth.ErrUnavailable)
	}
	if err := i.rules.check(c, now); err != nil {
		return "", exp, err
	}
	if c.has("exp") {
		if exp, err = c.time("exp"); err != nil {
			return "", exp, err
		}
	}
	name, err = i.rules.name(c)
	return name, exp, err
}

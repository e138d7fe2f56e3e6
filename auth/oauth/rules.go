package oauth

import (
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/posthouse-mail/posthouse/directory"
)

// Rules say which tokens are good, and whose they are.
type Rules struct {
	// Issuer is what a token's iss must be exactly, the URL of the authorization
	// server. NewJWT needs it; NewIntrospection compares what the answer has.
	Issuer string
	// Audiences are our names: one of them must be in the token's aud. NewJWT
	// needs one; NewIntrospection needs one, or a scope.
	Audiences []string
	// Scopes must all be in the token's scope (or scp); empty: none has to.
	Scopes []string
	// Claim names the account: "email" (the default) counts only when the
	// issuer says that it verified it; "preferred_username", "sub", "upn",
	// "username" and any other count as they are. It must be one that users
	// can't choose as they like, and whose values differ in more than the case
	// of letters. A value with a sub-address "+tag" names nobody.
	Claim string
	// Accounts knows what the claim and the logins mean, and who is disabled;
	// nil: the account is auth.NormalName of the claim.
	Accounts directory.Accounts
	// Leeway is how far the issuer's clock may be from ours; 0: one minute.
	Leeway time.Duration
}

func (r Rules) withDefaults() Rules {
	if r.Claim == "" {
		r.Claim = "email"
	}
	r.Leeway = orDefault(r.Leeway, time.Minute)
	r.Audiences, r.Scopes = slices.Clone(r.Audiences), slices.Clone(r.Scopes)
	return r
}

func orDefault[T int | time.Duration](v, def T) T {
	if v == 0 {
		return def
	}
	return v
}

// checkConfig returns what is wrong with the rules themselves: ErrConfig.
func (r *Rules) checkConfig() error {
	if slices.Contains(r.Audiences, "") || slices.Contains(r.Scopes, "") {
		return configError("an audience or a scope is empty")
	}
	for _, s := range r.Scopes {
		if len(strings.Fields(s)) != 1 {
			return configError("one scope is one word: %.200q", s)
		}
	}
	if r.Leeway < 0 {
		return configError("the leeway is negative")
	}
	return nil
}

// check returns why claims are not good at a time. must names those that have
// to be there.
func (r *Rules) check(c claims, now time.Time, must ...string) error {
	for _, name := range must {
		if !c.has(name) {
			return bad("a claim is missing: " + name)
		}
	}
	if c.has("iss") && r.Issuer != "" && c.text("iss") != r.Issuer {
		return bad("of another issuer")
	}
	if len(r.Audiences) > 0 && !slices.ContainsFunc(c.list("aud"), func(aud string) bool { return slices.Contains(r.Audiences, aud) }) {
		return bad("for another audience")
	}
	if c.has("cnf") { // RFC 7800: who can't see the key's proof must not believe it
		return bad("bound to a key")
	}
	if use := c.text("token_use"); c.has("token_use") && use != "access" && use != "access_token" {
		return bad("not an access token")
	}
	if err := r.checkTimes(c, now); err != nil {
		return err
	}
	granted := append(c.words("scope"), c.words("scp")...)
	for _, scope := range r.Scopes {
		if !slices.Contains(granted, scope) {
			return bad("a scope is missing: " + scope)
		}
	}
	return nil
}

// checkTimes checks exp, nbf and iat, those that are there.
func (r *Rules) checkTimes(c claims, now time.Time) error {
	for _, name := range []string{"exp", "nbf", "iat"} {
		if !c.has(name) {
			continue
		}
		t, err := c.time(name)
		switch {
		case err != nil:
			return err
		case name == "exp" && !now.Before(t.Add(r.Leeway)):
			return bad("expired")
		case name != "exp" && now.Before(t.Add(-r.Leeway)):
			return bad("of the future: " + name)
		}
	}
	return nil
}

// name returns the login in claims that are good.
func (r *Rules) name(c claims) (string, error) {
	name := c.text(r.Claim)
	switch {
	case name == "":
		return "", bad("it names nobody: " + r.Claim)
	case r.Claim == "email" && !c.yes("email_verified"):
		return "", bad("its address is not verified")
	case strings.IndexFunc(name, func(r rune) bool { return unicode.IsControl(r) || r == utf8.RuneError }) >= 0:
		return "", bad("its name is not text")
	case strings.Contains(name[:max(0, strings.LastIndexByte(name, '@'))], "+"), !strings.Contains(name, "@") && strings.Contains(name, "+"):
		return "", bad("its name has a sub-address") // would be the account without it
	}
	return name, nil
}

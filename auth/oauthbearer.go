package auth

import "strings"

// oauthBearer is OAUTHBEARER (RFC 7628). The authorization identity in its
// header is whom the client takes the token to be of.
type oauthBearer struct{}

func (oauthBearer) read(response string) (user string, fields map[string]string, err error) {
	h, rest, err := cutGS2(response)
	if err != nil {
		return "", nil, err
	}
	rest, ok := strings.CutPrefix(rest, kvsep)
	if h.flag == 'p' || !ok {
		return "", nil, malformed("not a response of OAUTHBEARER")
	}
	fields, err = readFields(rest)
	return h.authzID, fields, err
}

func (oauthBearer) failure(scope, configURL string) any {
	return struct {
		Status string `json:"status"`
		Scope  string `json:"scope,omitempty"`
		Config string `json:"openid-configuration,omitempty"`
	}{"invalid_token", scope, configURL}
}

package auth

// login is the mechanism LOGIN, which has no RFC but is all that some clients
// know (draft-murchison-sasl-login): the server asks for the user, then for
// the password. A client may send the user at once, as the initial response.
type login struct{ asked step }

// step is what LOGIN has asked for.
type step int

const (
	nothing step = iota
	theUser
	thePassword
)

func (l *login) Next(e *Exchange, response []byte) (challenge []byte, done bool, err error) {
	switch {
	case l.asked == nothing && response == nil:
		l.asked = theUser
		return []byte("Username:"), false, nil
	case l.asked != thePassword:
		if err := e.SetUser(string(response)); err != nil {
			return nil, false, err
		}
		l.asked = thePassword
		return []byte("Password:"), false, nil
	}
	return nil, true, e.CheckPassword("", string(response))
}

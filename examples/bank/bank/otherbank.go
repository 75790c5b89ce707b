package bank

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"time"
)

// How the bank talks to another one:
//
//	POST    the payment, with the header Idempotency-Key: do it, once for each key
//	DELETE  with the same header: never do it, or take it back
//
// The answer is 200 with a receipt, or 422 with the reason of a refusal for good. Of
// everything else, a proxy's 404 as well as silence, nobody knows what it means for
// the payment: it is asked again. The other bank remembers keys. Asked again it gives
// the same answer, and a payment that was taken back before it came stays so, should
// it come after all.

// IdempotencyKey is the header that names what must not happen twice.
const IdempotencyKey = "Idempotency-Key"

const (
	answerTime = 10 * time.Second // of the other bank
	maxAnswer  = 4 << 10          // bytes of it that are kept
)

// send asks for a payment and returns the receipt. ErrTurnedDown: it is refused for
// good. After any other error nobody knows whether it happened.
func send(ctx context.Context, client *http.Client, key string, p *Payment) (receipt string, err error) {
	body, err := json.Marshal(map[string]any{"from": p.From, "to": p.To, "amount": p.Amount, "currency": p.Currency})
	if err != nil {
		return "", err
	}
	return ask(ctx, client, http.MethodPost, key, p.Bank, body)
}

// recall makes sure that a payment does not happen. ErrTurnedDown: it has, and the
// other bank does not give it back.
func recall(ctx context.Context, client *http.Client, key string, p *Payment) error {
	_, err := ask(ctx, client, http.MethodDelete, key, p.Bank, nil)
	return err
}

func ask(ctx context.Context, client *http.Client, method, key, address string, body []byte) (string, error) {
	req, err := http.NewRequestWithContext(ctx, method, address, bytes.NewReader(body))
	if err != nil {
		return "", err
	}
	req.Header.Set(IdempotencyKey, key)
	req.Header.Set("Content-Type", "application/json")
	res, err := client.Do(req)
	if err != nil {
		return "", err
	}
	defer res.Body.Close()
	text, err := io.ReadAll(io.LimitReader(res.Body, maxAnswer))
	if err != nil {
		return "", err
	}
	answer := string(bytes.ToValidUTF8(bytes.TrimSpace(text), []byte("?")))
	switch res.StatusCode {
	case http.StatusOK:
		return answer, nil
	case http.StatusUnprocessableEntity:
		return "", fmt.Errorf("%w: %.200s", ErrTurnedDown, answer)
	}
	return "", fmt.Errorf("the other bank answers %s: %.200s", res.Status, answer)
}

// straight returns a client that follows no redirect: behind one a POST may be a GET,
// whose answer says nothing about the payment.
func straight(client *http.Client) *http.Client {
	c := *client
	c.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return &c
}

// checkAddress refuses what is no address of a bank.
func checkAddress(s string) error {
	u, err := url.Parse(s)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrAddress, err)
	}
	if u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
		return fmt.Errorf("%w: %.100q is no http or https URL", ErrAddress, s)
	}
	return nil
}

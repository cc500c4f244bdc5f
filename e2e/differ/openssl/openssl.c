/*
 * Connections of OpenSSL, one after the other, whose peer is at standard input: it reads
 * commands and answers each with what the connection did. All is made of frames: a
 * letter, a length in four bytes, most significant first, and so many bytes.
 *
 *   v             -> v and the version of OpenSSL
 *   n SETTING     a new connection; letters: c client, d datagrams, k asks for a cookie,
 *                 a asks for a certificate, or has one
 *   i BYTES       a datagram or a piece of a stream, for the connection
 *
 * n and i are answered with o for what went out, with p for what was delivered, and at
 * last with s: three bytes, open, failed, closed, and why.
 */
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/rand.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void die(const char *what) {
	fprintf(stderr, "openssl: %s\n", what);
	ERR_print_errors_fp(stderr);
	exit(1);
}

static void frame(char kind, const void *data, size_t n) {
	unsigned char head[5] = {kind, n >> 24, n >> 16, n >> 8, n};
	fwrite(head, 1, sizeof head, stdout);
	fwrite(data, 1, n, stdout);
}

/* --- What came in and was not read yet */

static unsigned char in[1 << 18];
static size_t in_size;
static int datagrams;

static int end_write(BIO *b, const char *data, int n) {
	BIO_clear_retry_flags(b);
	frame('o', data, n);
	return n;
}

static int end_read(BIO *b, char *data, int n) {
	BIO_clear_retry_flags(b);
	if (!in_size) {
		BIO_set_retry_read(b);
		return -1;
	}
	size_t got = in_size < (size_t)n ? in_size : (size_t)n;
	memcpy(data, in, got);
	in_size = datagrams ? 0 : in_size - got;
	memmove(in, in + got, in_size);
	return got;
}

static long end_control(BIO *b, int command, long number, void *p) {
	switch (command) {
	case BIO_CTRL_FLUSH:
		return 1;
	case BIO_CTRL_DGRAM_QUERY_MTU:
	case BIO_CTRL_DGRAM_GET_MTU:
		return 1400;
	case BIO_CTRL_DGRAM_GET_MTU_OVERHEAD:
		return 28;
	}
	return 0;
}

static BIO *new_end(void) {
	static BIO_METHOD *method;
	if (!method) {
		method = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "differ");
		BIO_meth_set_write(method, end_write);
		BIO_meth_set_read(method, end_read);
		BIO_meth_set_ctrl(method, end_control);
	}
	BIO *b = BIO_new(method);
	BIO_set_init(b, 1);
	return b;
}

/* --- Connections */

static EVP_PKEY *key;
static X509 *certificate;

static void make_certificate(void) {
	key = EVP_EC_gen("P-256");
	certificate = X509_new();
	X509_set_version(certificate, 2);
	ASN1_INTEGER_set(X509_get_serialNumber(certificate), 1);
	X509_gmtime_adj(X509_getm_notBefore(certificate), -3600);
	X509_gmtime_adj(X509_getm_notAfter(certificate), 864000);
	X509_NAME_add_entry_by_txt(X509_get_subject_name(certificate), "CN", MBSTRING_ASC,
		(const unsigned char *)"differ.example", -1, -1, 0);
	X509_set_issuer_name(certificate, X509_get_subject_name(certificate));
	X509_set_pubkey(certificate, key);
	if (!X509_sign(certificate, key, EVP_sha256()))
		die("certificate");
}

static int any_certificate(int ok, X509_STORE_CTX *c) { return 1; }

static int make_cookie(SSL *s, unsigned char *cookie, unsigned int *n) {
	memset(cookie, 'c', *n = 20);
	return 1;
}

static int check_cookie(SSL *s, const unsigned char *cookie, unsigned int n) {
	return n == 20 && !memcmp(cookie, "cccccccccccccccccccc", 20);
}

static int choose_protocol(SSL *s, const unsigned char **out, unsigned char *n, const unsigned char *offered,
	unsigned int size, void *p) {
	if (SSL_select_next_proto((unsigned char **)out, n, p, 6, offered, size) == OPENSSL_NPN_NEGOTIATED)
		return SSL_TLSEXT_ERR_OK;
	return SSL_TLSEXT_ERR_ALERT_FATAL;
}

static int any_name(SSL *s, int *alert, void *p) { return SSL_TLSEXT_ERR_OK; }

static SSL_CTX *new_context(const char *setting) {
	int client = strchr(setting, 'c') != NULL, authenticates = strchr(setting, 'a') != NULL;
	static unsigned char protocols[] = "\x05hello";
	SSL_CTX *c = SSL_CTX_new(strchr(setting, 'd') ? DTLS_method() : TLS_method());
	if (!c || !SSL_CTX_set_min_proto_version(c, strchr(setting, 'd') ? DTLS1_2_VERSION : TLS1_2_VERSION) ||
	    !SSL_CTX_set_cipher_list(c, "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-ECDSA-AES256-GCM-SHA384") ||
	    !SSL_CTX_set_ciphersuites(c, "TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256") ||
	    !SSL_CTX_set1_groups_list(c, "X25519:P-256"))
		die("context");
	SSL_CTX_set_options(c, SSL_OP_NO_QUERY_MTU | SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_TICKET | SSL_OP_CIPHER_SERVER_PREFERENCE | SSL_OP_LEGACY_SERVER_CONNECT);
	SSL_CTX_set_session_cache_mode(c, SSL_SESS_CACHE_OFF);
	SSL_CTX_set_verify(c, !client && authenticates ? SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT : SSL_VERIFY_NONE,
		any_certificate);
	if ((!client || authenticates) && (!SSL_CTX_use_certificate(c, certificate) || !SSL_CTX_use_PrivateKey(c, key)))
		die("certificate");
	if (strchr(setting, 'k')) {
		SSL_CTX_set_options(c, SSL_OP_COOKIE_EXCHANGE);
		SSL_CTX_set_cookie_generate_cb(c, make_cookie);
		SSL_CTX_set_cookie_verify_cb(c, check_cookie);
	}
	if (client) {
		SSL_CTX_set_alpn_protos(c, protocols, 6);
	} else {
		SSL_CTX_set_alpn_select_cb(c, choose_protocol, protocols);
		SSL_CTX_set_tlsext_servername_callback(c, any_name);
	}
	SSL_CTX_set_num_tickets(c, 0);
	return c;
}

static SSL *connection;
static int failed, closed;
static char reason[300];

/* A context is made once for every setting. */
static SSL_CTX *context(const char *setting) {
	static struct { char setting[16]; SSL_CTX *context; } known[32];
	for (int i = 0; i < 32; i++) {
		if (!known[i].context) {
			snprintf(known[i].setting, sizeof known[i].setting, "%.15s", setting);
			known[i].context = new_context(setting);
		}
		if (!strcmp(known[i].setting, setting))
			return known[i].context;
	}
	die("too many settings");
	return NULL;
}

static void begin(const char *setting) {
	SSL_free(connection);
	in_size = 0;
	failed = closed = 0;
	*reason = 0;
	datagrams = strchr(setting, 'd') != NULL;
	connection = SSL_new(context(setting));
	BIO *b = new_end();
	SSL_set_bio(connection, b, b);
	SSL_set_mtu(connection, 1400);
	if (strchr(setting, 'c')) {
		SSL_set_connect_state(connection);
		SSL_set_tlsext_host_name(connection, "differ.example");
	} else {
		SSL_set_accept_state(connection);
	}
}

/* Does what can be done with what is here. */
static void advance(void) {
	static char data[1 << 15];
	int result = 1;
	ERR_clear_error();
	if (!SSL_is_init_finished(connection))
		result = SSL_do_handshake(connection);
	while (result > 0) {
		result = SSL_read(connection, data, sizeof data);
		if (result > 0)
			frame('p', data, result);
	}
	switch (SSL_get_error(connection, result)) {
	case SSL_ERROR_WANT_READ:
		return;
	case SSL_ERROR_ZERO_RETURN:
		closed = 1;
		return;
	}
	failed = 1;
	ERR_error_string_n(ERR_peek_error(), reason, sizeof reason);
}

static void state(void) {
	char said[3 + sizeof reason] = {SSL_is_init_finished(connection), failed, closed};
	strcpy(said + 3, reason);
	frame('s', said, 3 + strlen(reason));
}

int main(void) {
	static unsigned char head[5], data[1 << 18];
	make_certificate();
	while (fread(head, 1, sizeof head, stdin) == sizeof head) {
		uint32_t size = (uint32_t)head[1] << 24 | head[2] << 16 | head[3] << 8 | head[4];
		if (size >= sizeof data || fread(data, 1, size, stdin) != size)
			die("the frame");
		data[size] = 0;
		switch (head[0]) {
		case 'v':
			frame('v', OpenSSL_version(OPENSSL_VERSION), strlen(OpenSSL_version(OPENSSL_VERSION)));
			break;
		case 'n':
			begin((char *)data);
			advance();
			state();
			break;
		case 'i':
			if (in_size + size > sizeof in)
				die("too much came in");
			memcpy(in + in_size, data, size);
			in_size += size;
			if (!failed && !closed)
				advance();
			state();
			break;
		}
		fflush(stdout);
	}
	return 0;
}

/* SPDX-License-Identifier: BSD-2-Clause */
/* The only code of config/ that opens files: the configuration and the seed. */
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "config/file.h"
#include "config/value.h"

#define CONFIG_FILE_MAX_BYTES (256u << 20)
#define SEED_FILE_MAX_BYTES 4096
#define READ_FIRST_BYTES 65536

/* Reads to the end. On return *text is the caller's, whatever the result. */
static int descriptor_read(int fd, size_t max_bytes, char **text, size_t *len_bytes)
{
	size_t room = 0, len = 0;

	for (;;) {
		if (len + 1 >= room) { /* one byte stays for the NUL */
			size_t more = room > 0 ? room * 2 : READ_FIRST_BYTES;
			char *grown = realloc(*text, more);
			if (!grown)
				return -ENOMEM;
			*text = grown;
			room = more;
		}
		ssize_t got = read(fd, *text + len, room - len - 1);
		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return -errno;
		len += (size_t)got;
		if (len > max_bytes)
			return -EFBIG;
		if (got == 0)
			break;
	}
	(*text)[len] = '\0';
	*len_bytes = len;
	return 0;
}

int file_read(const char *path, size_t max_bytes, char **text, size_t *len_bytes,
	      struct stat *status)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	int result;

	*text = NULL;
	*len_bytes = 0;
	if (fd < 0)
		return -errno;
	/* A FIFO without a writer reads as empty; from a pipe's slow writer we wait for the end. */
	if (fcntl(fd, F_SETFL, 0) < 0 || fstat(fd, status) < 0)
		result = -errno;
	else
		result = descriptor_read(fd, max_bytes, text, len_bytes);
	if (result < 0) {
		free(*text);
		*text = NULL;
	}
	close(fd);
	return result;
}

int config_load(const char *path, struct config **config, struct config_errors *errors, char **text,
		size_t *len_bytes)
{
	struct stat status;
	int result;

	*config = NULL;
	*errors = (struct config_errors){0};
	result = file_read(path, CONFIG_FILE_MAX_BYTES, text, len_bytes, &status);
	return result < 0 ? result : config_parse(*text, *len_bytes, config, errors);
}

int config_load_or_tell(const char *path, struct config **config, FILE *out, const char *program)
{
	struct config_errors errors;
	size_t len_bytes = 0;
	char *text = NULL;
	int err = config_load(path, config, &errors, &text, &len_bytes);

	config_errors_print(out, path, text, len_bytes, &errors);
	if (err && errors.count == 0)
		fprintf(out, "%s: cannot read %s: %s\n", program, path, strerror(-err));
	config_errors_free(&errors);
	free(text);
	return err;
}

/* A seed file is read once at start, and what stands in it is never printed. */
static int seed_file_load(const char *path, u8 seed[static SEED_BYTES], bool *world_readable,
			  char *message, size_t message_bytes)
{
	char *text;
	size_t len = 0, start = 0;
	struct stat status;
	int result = file_read(path, SEED_FILE_MAX_BYTES, &text, &len, &status);

	if (result < 0) {
		snprintf(message, message_bytes,
			 "cannot read the fleet seed %s: %s; make one with 'shunt seed'", path,
			 strerror(-result));
		return result;
	}
	*world_readable = (status.st_mode & S_IROTH) != 0;
	while (start < len && isspace((unsigned char)text[start]))
		start++;
	while (len > start && isspace((unsigned char)text[len - 1]))
		len--;
	result = seed_parse(text + start, len - start, seed);
	if (result < 0)
		snprintf(
			message, message_bytes,
			"%s must hold %d hex digits, not all zero, and nothing else: make one with 'shunt seed'",
			path, 2 * SEED_BYTES);
	explicit_bzero(text, len);
	free(text);
	return result;
}

int config_seed_load(const struct config *config, u8 seed[static 16], bool *world_readable,
		     char *message, size_t message_bytes)
{
	*world_readable = false;
	if (message_bytes > 0)
		message[0] = '\0';
	if (config->fleet_seed_given) {
		memcpy(seed, config->fleet_seed, SEED_BYTES);
		return 0;
	}
	if (config->fleet_seed_file)
		return seed_file_load(config->fleet_seed_file, seed, world_readable, message,
				      message_bytes);
	snprintf(message, message_bytes, "the configuration names no fleet seed");
	return -EINVAL;
}

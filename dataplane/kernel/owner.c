/* SPDX-License-Identifier: BSD-2-Clause */
#include "dataplane/kernel/owner.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "dataplane/state/kernel.h"

#define MAPS_MAX 64
#define CONTROL_BYTES_MAX (1 << 20)

/* Reads a control map's value far enough to compare its owner; versions differ in what follows. */
static bool value_names(int map_fd, u32 value_bytes, const char *pin_dir)
{
	const size_t at = offsetof(struct kernel_control, pin_dir);
	u8 *value = malloc(value_bytes);
	u32 zero = 0;
	bool same = value && bpf_map_lookup_elem(map_fd, &zero, value) == 0 &&
		    strncmp((const char *)value + at, pin_dir, KERNEL_PIN_DIR_MAX) == 0;

	free(value);
	return same;
}

static bool map_names(u32 map_id, const char *pin_dir)
{
	struct bpf_map_info info = {0};
	__u32 info_bytes = sizeof(info);
	int fd = bpf_map_get_fd_by_id(map_id);
	bool same =
		fd >= 0 && bpf_obj_get_info_by_fd(fd, &info, &info_bytes) == 0 &&
		strcmp(info.name, "control") == 0 && info.type == BPF_MAP_TYPE_ARRAY &&
		info.value_size >= offsetof(struct kernel_control, pin_dir) + KERNEL_PIN_DIR_MAX &&
		info.value_size <= CONTROL_BYTES_MAX && value_names(fd, info.value_size, pin_dir);

	if (fd >= 0)
		close(fd);
	return same;
}

bool owner_is(int program_fd, const char *pin_dir, struct owner_mark *mark)
{
	u32 map_ids[MAPS_MAX];
	struct bpf_prog_info info = {
		.nr_map_ids = MAPS_MAX,
		.map_ids = (u64)(size_t)map_ids,
	};
	__u32 info_bytes = sizeof(info);

	if (program_fd < 0 || bpf_obj_get_info_by_fd(program_fd, &info, &info_bytes) < 0)
		return false;
	for (u32 i = 0; i < info.nr_map_ids && i < MAPS_MAX; i++) {
		if (!map_names(map_ids[i], pin_dir))
			continue;
		memcpy(mark->tag, info.tag, BPF_TAG_SIZE);
		mark->control_id = map_ids[i];
		return true;
	}
	return false;
}

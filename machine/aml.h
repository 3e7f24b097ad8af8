/* Emits AML, the byte code of ACPI definition blocks (ACPI Specification 6.4, chapter 20), term by
 * term. */
#ifndef ORRERY_MACHINE_AML_H
#define ORRERY_MACHINE_AML_H

#include "base/types.h"

#define AML_DEPTH 12

struct aml {
	u8 *p;
	u32 n, max;
	u32 open[AML_DEPTH]; /* where the PkgLength of each open package goes */
	unsigned depth;
	u32 resources; /* where the size of the open resource buffer stands */
	bool overflow; /* did not fit: the result is void */
};

#define AML_ZERO   0x00
#define AML_ONE    0x01
#define AML_LOCAL0 0x60
#define AML_ARG0   0x68

void aml_byte(struct aml *a, u8 v);
void aml_bytes(struct aml *a, const void *p, u32 n);
/** A name of one or two segments of four characters, without dots: "PCI0", "\\_SB_LNKA". */
void aml_name(struct aml *a, const char *name);
/** An integer constant in its shortest form. */
void aml_int(struct aml *a, u64 v);
void aml_string(struct aml *a, const char *s);
/** An EISA ID such as "PNP0A03" as its packed integer. */
void aml_eisaid(struct aml *a, const char *id);

/** Opens a construct with a PkgLength; close with aml_end(). */
void aml_scope(struct aml *a, const char *name);
void aml_device(struct aml *a, const char *name);
void aml_method(struct aml *a, const char *name, unsigned args);
void aml_package(struct aml *a, unsigned elements);
void aml_if(struct aml *a); /* the predicate follows */
void aml_end(struct aml *a);

void aml_name_op(struct aml *a, const char *name); /* Name(name, the next term) */
void aml_name_int(struct aml *a, const char *name, u64 v);
void aml_hid(struct aml *a, const char *id);
void aml_return_op(struct aml *a); /* the value follows */
/** OperationRegion in PCI configuration space and fields of 8 bits each named by @fields (4
 * characters each). */
void aml_pci_bytes(struct aml *a, const char *region, u8 offset, const char *fields,
		   unsigned count);

/** A resource template (section 6.4): opens the buffer, descriptors, end tag. */
void aml_resources(struct aml *a);
void aml_resources_end(struct aml *a);
void aml_res_io(struct aml *a, u16 base, u8 len);
void aml_res_irq(struct aml *a, unsigned irq);
void aml_res_interrupts(struct aml *a, const u32 *irq,
			unsigned count); /* level, active high, shared */
void aml_res_memory(struct aml *a, u32 base, u32 len, bool writable);
enum aml_space { AML_SPACE_MEMORY, AML_SPACE_IO, AML_SPACE_BUS };
/** Windows a bridge passes on, [min, max]. */
void aml_res_word_window(struct aml *a, enum aml_space space, u16 min, u16 max);
void aml_res_dword_window(struct aml *a, enum aml_space space, u32 min, u32 max);

#endif

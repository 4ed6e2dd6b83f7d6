// Generated from core-asm/abi.ts by scripts/gen-abi-header.ts. Do not edit.
#pragma once
#define ABI_PLAN_VERSION 1
#define ABI_PLAN_MAGIC 0x4e4c5047

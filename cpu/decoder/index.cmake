# The decoder's index is generated from the rows by a program that links them.
add_executable(gen_index ${CMAKE_CURRENT_LIST_DIR}/gen/gen_index.c ${CMAKE_CURRENT_LIST_DIR}/rows.c)
set(decoder_index ${CMAKE_BINARY_DIR}/generated/decoder_index.inc)
file(MAKE_DIRECTORY ${CMAKE_BINARY_DIR}/generated)
add_custom_command(OUTPUT ${decoder_index} COMMAND gen_index > ${decoder_index} DEPENDS gen_index
                   VERBATIM)
target_sources(orrery_decoder PRIVATE ${decoder_index})

package com.example.hrnet.app

import android.content.res.AssetManager
import android.util.Log
import com.example.hrnet.models.Description
import com.example.hrnet.models.Network
import com.google.ai.edge.litert.Accelerator
import com.google.ai.edge.litert.CompiledModel
import com.google.ai.edge.litert.LiteRtException

private const val CPU_THREADS = 4

/**
 * A network that LiteRT computes, on the GPU where it can.
 *
 * To be opened, run and closed by one thread: GPUs' drivers ask for that.
 */
class LiteRtNetwork private constructor(
    private val model: CompiledModel,
    description: Description,
    override val processor: String
) : Network {
    private val name = description.image.name
    private val inputs = mapOf(name to model.createInputBuffer(name))
    private val outputs = description.outputs.keys.associateWith { model.createOutputBuffer(it) }

    override fun run(image: ByteArray) {
        inputs.getValue(name).writeInt8(image)
        model.run(inputs, outputs)
    }

    override fun floats(name: String): FloatArray = outputs.getValue(name).readFloat()

    override fun ints(name: String): IntArray = outputs.getValue(name).readInt()

    override fun close() {
        for (buffer in inputs.values + outputs.values) buffer.close()
        model.close()
    }

    companion object {
        /**
         * Opens a model among the app's assets.
         *
         * The CPU takes what the GPU does not: the description says so, or else LiteRT
         * when the network is compiled or first run.
         *
         * @throws LiteRtException If the CPU does not take it either.
         */
        fun open(assets: AssetManager, asset: String, description: Description): LiteRtNetwork {
            if (description.suitsGpu) {
                try {
                    val options = CompiledModel.Options(Accelerator.GPU)
                    return tried(assets, asset, description, options, "GPU")
                } catch (error: LiteRtException) {
                    Log.w("hrnet", "$asset runs on the CPU.", error)
                }
            }
            val options = CompiledModel.Options(Accelerator.CPU)
            options.cpuOptions = CompiledModel.CpuOptions(numThreads = CPU_THREADS)
            return tried(assets, asset, description, options, "CPU")
        }

        /** A network that has run once, on a black picture, and told what it found. */
        private fun tried(
            assets: AssetManager,
            asset: String,
            description: Description,
            options: CompiledModel.Options,
            processor: String
        ): LiteRtNetwork {
            val model = CompiledModel.create(assets, asset, options)
            val network = closing(model) { LiteRtNetwork(model, description, processor) }
            closing(network) {
                network.run(ByteArray(description.image.size))
                // What a GPU fails at may show only now: it is waited for.
                for (output in description.outputs.values) {
                    if (output.type == "float32") network.floats(output.name)
                    if (output.type == "int32") network.ints(output.name)
                }
            }
            return network
        }
    }
}
